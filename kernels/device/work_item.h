#ifndef ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_
#define ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"

namespace actserve {

// Checks that the tensors of `item` fit `program`. With `has_memory` false,
// the device has no memory of its own, and tensors there are an error. Does not
// check that resident tensors belong to this device: a device that keeps
// tensors checks that itself.
//   FailedPrecondition  tensors in device memory, and the device has none
//   InvalidArgument  an item whose tensors do not fit `program`: the number
//                    of inputs, outputs, parameters, or bytes
absl::Status CheckItems(const LoweredProgram& program, bool has_memory,
                        absl::Span<const WorkItem> items);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_
