#ifndef ACTSERVE_SERVER_KSERVE_INFER_RESPONSE_H_
#define ACTSERVE_SERVER_KSERVE_INFER_RESPONSE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/dtype.h"
#include "server/message/request.h"
#include "server/message/response.h"
#include "server/message/tensor_result.h"
#include "server/state/buffer_pool.h"

namespace actserve::kserve {

// An output of a model, as it is sent.
struct InferOutput {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  Buffer elements;
};

// What `result` has, in the order of the request. A gradient that is a number
// is a tensor of one float64, in memory of `buffers`.
std::vector<InferOutput> OutputsOf(const TensorRequest& request,
                                   TensorResult result, BufferPool& buffers);

// The part of a ModelInferResponse that follows from what was asked: all but
// the id and the elements. `is_final` marks it as the last response to its
// request, as clients of streams want.
std::string InferResponseHead(const std::string& model_name,
                              const std::vector<InferOutput>& outputs,
                              bool is_final);

// Encodes the ModelInferResponse with that head. The outputs are sent from
// where they are, copied only if they are small.
EncodedResponse EncodeInferResponse(const std::string& head,
                                    const std::string& id,
                                    std::vector<InferOutput> outputs);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_INFER_RESPONSE_H_
