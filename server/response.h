#ifndef ACTSERVE_SERVER_RESPONSE_H_
#define ACTSERVE_SERVER_RESPONSE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/support/byte_buffer.h"
#include "kernels/device/device.h"
#include "server/buffer_pool.h"
#include "server/executor.h"
#include "server/request.h"

namespace actserve {

// What came out of a program, and what is said about it.
struct TensorResult {
  TensorResult(const Program& program, std::string device)
      : program(program), device(std::move(device)) {}

  const Program& program;
  std::string device;
  // The program's outputs that are tensors, in its order.
  std::vector<Buffer> tensors;
  // Those that are sums, in its order.
  std::vector<double> sums;
  absl::Duration queue;
  absl::Duration compute;
  // Forward: handle and lease of the residual; empty: none.
  std::string residual_handle;
};

// An encoding of a v1::ForwardResponse or v1::BackwardResponse whose payloads
// are the buffers themselves, without a copy unless they are small.
grpc::ByteBuffer EncodeForward(const TensorRequest& request,
                               TensorResult result);
grpc::ByteBuffer EncodeBackward(const TensorRequest& request,
                                TensorResult result);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RESPONSE_H_
