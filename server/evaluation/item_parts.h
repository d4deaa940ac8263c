#ifndef ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_
#define ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/message/request.h"

namespace actserve {

// Sets the inputs of `item`, and which of them are parts of one tensor.
// `tensor` gives those of a decoded request, without the ones that broadcast;
// they must outlive `item`.
void SetInputs(const TensorRequest& request, size_t num_tensors,
               absl::FunctionRef<absl::Span<const Fragment>(size_t)> tensor,
               WorkItem* item);

// The parts that the first outputs of the program are of the one gradient with
// respect to all inputs.
std::vector<TensorPart> OutputParts(const TensorRequest& request);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_ITEM_PARTS_H_
