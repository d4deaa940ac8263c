#include "server/metrics/calls/other_calls.h"

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace actserve {
namespace {

class Unimplemented final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Unimplemented(CallMetrics* metrics) : metrics_(metrics) {
    Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""));
  }
  void OnDone() override {
    if (metrics_ != nullptr) {
      metrics_->CountCall(Method::kOther, absl::StatusCode::kUnimplemented,
                          absl::Now() - received_);
    }
    delete this;
  }
  // As of CallReactor.
  bool InternalInlineable() override { return true; }

 private:
  CallMetrics* const metrics_;
  const absl::Time received_ = absl::Now();
};

}  // namespace

grpc::ServerGenericBidiReactor* OtherCalls::CreateReactor(
    grpc::GenericCallbackServerContext* /*context*/) {
  return new Unimplemented(metrics_);
}

}  // namespace actserve
