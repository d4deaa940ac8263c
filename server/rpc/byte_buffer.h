#ifndef ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
#define ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "kernels/device/device.h"
#include "server/evaluation/call_counter.h"
#include "server/message/response.h"
#include "server/metrics/call_metrics.h"
#include "server/scheduling/caller_id.h"
#include "server/state/memory_budget.h"

namespace actserve {

// Returns the response as slices. Does not copy the buffers: each goes back to
// its pool when gRPC drops the last reference to its slice, and leaves `calls`
// then.
grpc::ByteBuffer ToByteBuffer(EncodedResponse response, CallCounter* calls);

// The bytes of a message; 0 without one.
int64_t SizeOf(const grpc::ByteBuffer& message);

// Moves the bytes of a request out of what gRPC passes to a method. gRPC keeps
// that until the answer is sent, and the peer decides when it reads the answer.
grpc::ByteBuffer TakeRequest(const grpc::ByteBuffer* request);

// The message of a call with tensors, in the memory where gRPC received it, and
// the charge for that memory.
struct ReceivedMessage {
  // Goes after the slices: the last reference to memory of gRPC's quota may
  // not be a slice's, because on a thread of ours that crashes gRPC 1.51
  // while memory is short. Destroying a ByteBuffer prepares the thread.
  grpc::ByteBuffer bytes;
  std::vector<grpc::Slice> slices = {};
  MemoryBudget::Charge charge = {};

  // Sets the slices and the charge, and returns where the bytes lie, as long as
  // this object lives. Counts them in `metrics`, unless null.
  //   InvalidArgument    there is no message
  //   ResourceExhausted  as MemoryBudget::Take()
  absl::StatusOr<std::vector<Fragment>> Open(const CallerId& caller,
                                             MemoryBudget& memory,
                                             CallMetrics* metrics);
};

// The error for a call whose message is missing or was cut off on its way.
absl::Status NoMessageError();

// Limit on the bytes of a request.
struct SizeLimit {
  int64_t bytes = 0;
  // The flag that sets it, for the error; empty: none.
  absl::string_view flag = {};
};

// Parses `bytes` into `message`. Measures them first, and keeps no field that
// the message does not know.
//   InvalidArgument  missing, longer than `limit`, or no such message
absl::Status ReadMessage(const grpc::ByteBuffer& bytes, const SizeLimit& limit,
                         google::protobuf::Message* message);

// Encodes `message`; gRPC holds `charge` with it.
grpc::ByteBuffer WriteMessage(const google::protobuf::Message& message,
                              MemoryBudget::Charge charge);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_BYTE_BUFFER_H_
