#ifndef ACTSERVE_SERVER_RPC_STREAM_CALL_H_
#define ACTSERVE_SERVER_RPC_STREAM_CALL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/slice.h"
#include "kernels/graph/summation.h"
#include "server/connections/open_streams.h"
#include "server/evaluation/call_counter.h"
#include "server/evaluation/serving_parts.h"
#include "server/message/tensor_result.h"
#include "server/metrics/call_metrics.h"
#include "server/scheduling/caller_id.h"
#include "server/stream/chunks.h"
#include "server/stream/slabs.h"
#include "server/stream/stream_request.h"
#include "server/tracing/call_observer.h"

namespace actserve {

using StreamReactor =
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// Counts a stream once it is done, and deletes itself then. For streams that
// are refused.
class RefusedStream final : public StreamReactor {
 public:
  RefusedStream(const absl::Status& status, Method method, CallMetrics* metrics,
                grpc::CallbackServerContext* context);
  void OnDone() override;

 private:
  const absl::StatusCode code_;
  const Method method_;
  CallMetrics* const metrics_;
  const absl::Time received_;
};

// The streaming gRPC door to an evaluation: a ForwardStream or BackwardStream.
//
//   first message -> program -> chunks -> slab --Evaluation--> chunks -> end
//                                  ^--------------------------------/
//
// Reads while chunks fit into the window, computes one slab at a time while
// results fit into theirs, and writes one message at a time. So memory is
// bounded, and HTTP/2 holds back a client that is faster. All memory is charged
// before the first answer, so that no stream is refused halfway.
//
// Owns itself, and everything that it computes from, until gRPC is done with
// the call and no slab is computed.
class StreamCall final : public StreamReactor,
                         public std::enable_shared_from_this<StreamCall> {
 public:
  // What every call is served with; see TensorCall.
  struct Parts {
    const ServingParts& serving;
    CallCounter* calls;
    OpenStreams* streams;
    CallMetrics* metrics;
    CallObserver* observer;
  };

  // Starts a call that has entered `parts.calls`, and leaves it at its end.
  // Returns the reactor for gRPC.
  static StreamReactor* Start(TensorMethod method, const CallerId& caller,
                              const Parts& parts,
                              grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  class Slab;
  // A message, and what it has of a chunk.
  struct Answer {
    std::string head;
    std::optional<grpc::Slice> chunk = std::nullopt;
    int64_t chunk_bytes = 0;
  };

  StreamCall(TensorMethod method, const CallerId& caller, const Parts& parts,
             grpc::CallbackServerContext* context);

  // Decodes the first message and asks for the program.
  void TakeFirst(const grpc::ByteBuffer& bytes);
  absl::StatusOr<StreamRequest> DecodeFirst(const grpc::ByteBuffer& bytes);
  void OnProgram(const Programs::Result& result);
  // Cuts slabs, charges for them and queues the first answer.
  absl::Status Prepare(std::shared_ptr<const Program> program)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the bytes too.
  absl::Status TakeChunk(grpc::ByteBuffer& bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnSlab(int64_t slab, TensorResult result, std::vector<Buffer> buffers);
  void OnSlabFailed(const absl::Status& status);

  // Does what can be done next.
  void Advance();
  // Says what was taken, if nothing else will soon.
  void QueueTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::unique_ptr<Slab> NextSlab() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueChunks(int64_t slab, std::vector<Buffer> buffers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the call if nothing is left to do.
  void EndIfDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Fail(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Observe() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string LastMessage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CancelledError() const;

  struct Visit {
    CallCounter& calls;
    ~Visit() { calls.Leave(); }
  };
  // Goes last.
  const Visit visit_;
  const TensorMethod method_;
  const Method counted_as_;
  const CallerId caller_;
  const ServingParts& serving_;
  CallMetrics* const metrics_;
  CallObserver& observer_;
  grpc::CallbackServerContext& context_;
  const absl::Time received_;
  const absl::Time deadline_;
  // Null once gRPC is done with the call.
  std::unique_ptr<OpenStreams::Stream> open_;
  // Until OnDone().
  std::shared_ptr<StreamCall> self_;
  // What gRPC reads into and writes from.
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;

  absl::Mutex mu_;
  // What is under way now, and what has come to its end.
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // A slab, or the program; or the first message is decoded.
  bool computing_ ABSL_GUARDED_BY(mu_) = false;
  bool has_first_ ABSL_GUARDED_BY(mu_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);

  std::optional<StreamRequest> decoded_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Program> program_ ABSL_GUARDED_BY(mu_);
  // Null until the program is there.
  std::unique_ptr<const Slabs> slabs_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Chunks> chunks_ ABSL_GUARDED_BY(mu_);
  MemoryBudget::Charge request_charge_ ABSL_GUARDED_BY(mu_);
  // Answers that gRPC holds keep it.
  std::shared_ptr<MemoryBudget::Charge> result_charge_ ABSL_GUARDED_BY(mu_);
  int64_t next_slab_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<Answer> answers_ ABSL_GUARDED_BY(mu_);
  // Of chunks, that which is written now included.
  int64_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t writing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // That the client was told of.
  int64_t told_taken_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // One per gradient that is a number.
  std::vector<PiecewiseSum> sums_ ABSL_GUARDED_BY(mu_);
  // Times of all slabs.
  TensorResult total_ ABSL_GUARDED_BY(mu_);

  CallRecord record_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_STREAM_CALL_H_
