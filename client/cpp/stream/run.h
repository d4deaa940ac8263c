#ifndef ACTSERVE_CLIENT_CPP_STREAM_RUN_H_
#define ACTSERVE_CLIENT_CPP_STREAM_RUN_H_

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/stream/exchange.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/slice.h"
#include "grpcpp/support/status.h"

namespace actserve {

// The pieces of the caller's memory that gRPC holds. Thread-safe.
class ChunkLoans {
 public:
  // Counts in `num_on_loan` too.
  explicit ChunkLoans(std::atomic<int>* num_on_loan)
      : num_on_loan_(*num_on_loan) {}

  // The slice's last owner gives `bytes` back.
  grpc::Slice Lend(ByteSpan bytes);
  // Waits until all are back. The context of the call must be gone.
  void AwaitReturn();

 private:
  std::atomic<int>& num_on_loan_;
  absl::Mutex mutex_;
  int num_held_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Makes the stream `exchange` by a call of `method`, on the calling thread,
// which waits on `queue` alone. Returns how it ended; OK also if `exchange` did
// not take a message, whose error it has then in `refused`.
grpc::Status RunStream(grpc::GenericStub& stub, const std::string& method,
                       grpc::ClientContext& context,
                       grpc::CompletionQueue& queue, ChunkLoans& loans,
                       StreamExchange& exchange, absl::Status& refused);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_STREAM_RUN_H_
