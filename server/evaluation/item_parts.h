#ifndef ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_
#define ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_

#include <vector>

#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/message/request.h"

namespace actserve {

// Sets the inputs of `item`, and which of them are parts of one tensor.
// `tensors` are those of a decoded request, without the ones that broadcast;
// they must outlive `item`.
void SetInputs(const TensorRequest& request,
               absl::Span<const std::vector<Fragment>> tensors, WorkItem* item);

// The parts that the first outputs of the program are of the one gradient with
// respect to all inputs.
std::vector<TensorPart> OutputParts(const TensorRequest& request);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_
