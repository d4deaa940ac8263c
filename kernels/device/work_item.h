#ifndef ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_
#define ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"

namespace actserve {

// What every device checks before it touches a tensor. Whether resident tensors
// are of this device, one that keeps some checks itself; for one that keeps
// none
// (`has_resident` false) they are an error.
//   InvalidArgument  an item whose tensors do not fit `program`: the number
//                    of inputs, outputs, parameters, or bytes
absl::Status CheckItems(const LoweredProgram& program, bool has_resident,
                        absl::Span<const WorkItem> items);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_WORK_ITEM_H_
