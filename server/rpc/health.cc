#include "server/rpc/health.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "actserve/v1/service.grpc.pb.h"
#include "kernels/base/status_macros.h"
#include "server/rpc/byte_buffer.h"
#include "server/rpc/caller.h"
#include "server/rpc/status.h"

namespace actserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ServingStatus = HealthCheckResponse::ServingStatus;

constexpr char kLiveness[] = "liveness";

ServingStatus StatusOf(bool is_serving) {
  return is_serving ? HealthCheckResponse::SERVING
                    : HealthCheckResponse::NOT_SERVING;
}

grpc::ByteBuffer ResponseOf(ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return WriteMessage(response, {});
}

}  // namespace

absl::StatusOr<Health::Question> Health::QuestionOf(
    grpc::CallbackServerContext& context, const grpc::ByteBuffer* bytes) const {
  ACTSERVE_RETURN_IF_ERROR(AdmitHealth(context, authenticator_));
  HealthCheckRequest request;
  ACTSERVE_RETURN_IF_ERROR(
      ReadMessage(TakeRequest(bytes), {kMaxRequestBytes}, &request));
  const std::string& service = request.service();
  if (service == kLiveness) return Question::kIsAlive;
  if (service.empty() ||
      service == v1::ActivationService::service_full_name()) {
    return Question::kIsReady;
  }
  return Question::kUnknown;
}

// One Watch. Deletes itself when it is done.
class Health::Watcher final
    : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  Watcher(Health* health, Question question)
      : health_(*health), question_(question) {
    absl::MutexLock lock(&health_.mu_);
    health_.watchers_.insert(this);
    Update();
  }

  // Sends the status, unless it was sent or another one is on its way.
  void Update() ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_.mu_) {
    const ServingStatus status = question_ == Question::kUnknown
                                     ? HealthCheckResponse::SERVICE_UNKNOWN
                                     : StatusOf(health_.Answer(question_));
    if (is_writing_ || is_finished_ || sent_ == status) return;
    is_writing_ = true;
    sent_ = status;
    message_ = ResponseOf(status);
    health_.calls_.EnterAnswer();
    StartWrite(&message_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&health_.mu_);
      is_writing_ = false;
      if (ok) {
        Update();
      } else {
        End();
      }
    }
    // After the next answer, if there is one, has been counted.
    health_.calls_.Leave();
  }
  void OnCancel() override {
    absl::MutexLock lock(&health_.mu_);
    End();
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&health_.mu_);
      health_.watchers_.erase(this);
    }
    if (health_.metrics_ != nullptr) {
      health_.metrics_->CountCall(Method::kOther, absl::StatusCode::kCancelled,
                                  absl::Now() - started_);
    }
    delete this;
  }

 private:
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_.mu_) {
    if (is_finished_) return;
    is_finished_ = true;
    Finish(grpc::Status::CANCELLED);
  }

  Health& health_;
  const absl::Time started_ = absl::Now();
  const Question question_;
  grpc::ByteBuffer message_;
  bool is_writing_ ABSL_GUARDED_BY(health_.mu_) = false;
  bool is_finished_ ABSL_GUARDED_BY(health_.mu_) = false;
  std::optional<ServingStatus> sent_ ABSL_GUARDED_BY(health_.mu_);
};

void Health::StopBeingReady() {
  absl::MutexLock lock(&mu_);
  is_ready_ = false;
  TellWatchers();
}

void Health::StopBeingAlive() {
  absl::MutexLock lock(&mu_);
  is_ready_ = false;
  is_alive_ = false;
  TellWatchers();
}

void Health::TellWatchers() {
  for (Watcher* watcher : watchers_) watcher->Update();
}

grpc::ServerUnaryReactor* Health::Check(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) {
  auto* const reactor = new CallReactor(metrics_, Method::kOther);
  const absl::StatusOr<Question> question = QuestionOf(*context, request);
  absl::Status status = question.status();
  if (status.ok() && *question == Question::kUnknown) {
    status = absl::NotFoundError("no such service on this server");
  }
  if (status.ok()) {
    absl::MutexLock lock(&mu_);
    *response = ResponseOf(StatusOf(Answer(*question)));
  }
  Finish(status, context, reactor);
  return reactor;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* Health::Watch(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  const absl::StatusOr<Question> question = QuestionOf(*context, request);
  if (question.ok()) return new Watcher(this, *question);
  class Refusal final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    Refusal(const absl::Status& status, CallMetrics* metrics)
        : code_(status.code()), metrics_(metrics) {
      Finish(ToGrpcStatus(status));
    }
    void OnDone() override {
      if (metrics_ != nullptr) {
        metrics_->CountCall(Method::kOther, code_, absl::ZeroDuration());
      }
      delete this;
    }

   private:
    const absl::StatusCode code_;
    CallMetrics* const metrics_;
  };
  return new Refusal(question.status(), metrics_);
}

}  // namespace actserve
