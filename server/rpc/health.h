#ifndef ACTSERVE_SERVER_RPC_HEALTH_H_
#define ACTSERVE_SERVER_RPC_HEALTH_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/evaluation/call_counter.h"
#include "server/identity/authenticator.h"
#include "server/metrics/call_metrics.h"

namespace actserve {

namespace internal {

using HealthMethods = grpc::health::v1::Health::WithRawCallbackMethod_Check<
    grpc::health::v1::Health::WithRawCallbackMethod_Watch<
        grpc::health::v1::Health::Service>>;

}  // namespace internal

// The health service of gRPC. gRPC's own parses requests of any length that a
// message may have, and keeps names of services as long. This one measures a
// request first. It knows the services
//
//   ""                            ready: whether to send calls here
//   "actserve.v1.ActivationService"  the same
//   "liveness"                    alive: false if only a new process helps
//
// Each serves until it is stopped, and then for good does not. A Watch ends
// with its client or its connection. It reads one message: further ones stay
// in the window of their stream and in gRPC's quota, and ConnectionGuard bounds
// the streams. Thread-safe.
class Health final : public internal::HealthMethods {
 public:
  // A request beyond it is refused with INVALID_ARGUMENT.
  static constexpr int64_t kMaxRequestBytes = 1024;

  // What a Watch sends counts in `calls` as an answer, so that a server that
  // stops has told its watchers before it closes their connections.
  // `authenticator` decides who may ask; null: everyone. Calls are counted in
  // `metrics`, which may be null. All must outlive the service.
  Health(CallCounter* calls, CallMetrics* metrics,
         const Authenticator* authenticator)
      : calls_(*calls), metrics_(metrics), authenticator_(authenticator) {}

  // The server is not ready any more. Tells the watchers.
  void StopBeingReady();
  // It is neither ready nor alive. Tells the watchers.
  void StopBeingAlive();

  bool is_ready() const {
    absl::MutexLock lock(&mu_);
    return is_ready_;
  }
  bool is_alive() const {
    absl::MutexLock lock(&mu_);
    return is_alive_;
  }

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

 private:
  class Watcher;
  enum class Question { kIsReady, kIsAlive, kUnknown };
  // What a request asks, if its caller may.
  absl::StatusOr<Question> QuestionOf(grpc::CallbackServerContext& context,
                                      const grpc::ByteBuffer* bytes) const;
  // Not for kUnknown.
  bool Answer(Question question) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return question == Question::kIsAlive ? is_alive_ : is_ready_;
  }
  void TellWatchers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  CallCounter& calls_;
  CallMetrics* const metrics_;
  const Authenticator* const authenticator_;
  mutable absl::Mutex mu_;
  bool is_ready_ ABSL_GUARDED_BY(mu_) = true;
  bool is_alive_ ABSL_GUARDED_BY(mu_) = true;
  absl::flat_hash_set<Watcher*> watchers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_HEALTH_H_
