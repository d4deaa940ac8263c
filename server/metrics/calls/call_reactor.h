#ifndef ACTSERVE_SERVER_METRICS_CALLS_CALL_REACTOR_H_
#define ACTSERVE_SERVER_METRICS_CALLS_CALL_REACTOR_H_

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/support/server_callback.h"
#include "server/metrics/call_metrics.h"

namespace actserve {

// The reactor of every unary call: counts it once its answer is sent. Deletes
// itself then.
//
// Reactions of a reactor cost a hop to another thread, unless it says that they
// are trivial, as gRPC's default reactor does and this one.
class CallReactor final : public grpc::ServerUnaryReactor {
 public:
  // The call has just arrived. `metrics` may be null; otherwise it must outlive
  // the call.
  CallReactor(CallMetrics* metrics, Method method)
      : metrics_(metrics),
        method_(method),
        received_(metrics != nullptr ? absl::Now() : absl::InfinitePast()) {}

  CallMetrics* metrics() const { return metrics_; }

  // What the call is answered with; before Finish().
  void set_code(absl::StatusCode code) { code_ = code; }

  void OnDone() override {
    if (metrics_ != nullptr) {
      metrics_->CountCall(method_, code_, absl::Now() - received_);
    }
    delete this;
  }
  bool InternalInlineable() override { return true; }

 private:
  CallMetrics* const metrics_;
  const Method method_;
  absl::StatusCode code_ = absl::StatusCode::kUnknown;
  const absl::Time received_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_CALLS_CALL_REACTOR_H_
