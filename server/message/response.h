#ifndef ACTSERVE_SERVER_MESSAGE_RESPONSE_H_
#define ACTSERVE_SERVER_MESSAGE_RESPONSE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "grpcpp/support/byte_buffer.h"
#include "kernels/device/device.h"
#include "server/message/request.h"
#include "server/state/buffer_pool.h"

namespace actserve {

// What came out of a program, and what is said about it.
struct TensorResult {
  // The program's outputs that are tensors, in its order.
  std::vector<Buffer> tensors;
  // Everything before, between and after the stages, until now.
  absl::Duration queue;
  Stages stages;
  // Forward: handle of the residual, kept for the request's lease; empty: none.
  std::string residual_handle;
};

// The part of a response that does not change from call to call: what its
// tensors are, and what computed them. Only the sums do; they are in the
// program's order.
std::string ResponseHead(const TensorRequest& request, const Program& program,
                         const std::string& device,
                         absl::Span<const double> sums);

// An encoding of a v1::ForwardResponse or v1::BackwardResponse that begins
// with `head`, and whose payloads are the buffers themselves, without a copy
// unless they are small.
grpc::ByteBuffer EncodeResponse(const TensorRequest& request, std::string head,
                                TensorResult result);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_RESPONSE_H_
