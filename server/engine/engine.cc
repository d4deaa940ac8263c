#include "server/engine/engine.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/evaluation/device_places.h"
#include "server/evaluation/output_places.h"
#include "server/evaluation/plain_call.h"
#include "server/evaluation/tensor_evaluation.h"
#include "server/message/control_request.h"

namespace actserve {
namespace {

constexpr absl::Duration kSweepPeriod = absl::Seconds(1);

std::string Join(absl::Span<const Fragment> message) {
  std::string bytes;
  for (const Fragment& fragment : message) {
    bytes.append(reinterpret_cast<const char*>(fragment.data),
                 fragment.size_bytes);
  }
  return bytes;
}

// Parses and checks a request without tensors, and encodes what `answer` makes
// of it.
template <typename Request, typename Answer>
absl::StatusOr<EncodedResponse> Control(absl::Span<const Fragment> message,
                                        Answer answer) {
  Request request;
  if (!request.ParseFromString(Join(message))) {
    return absl::InvalidArgumentError("the request does not parse");
  }
  ACTSERVE_RETURN_IF_ERROR(Check(request));
  ACTSERVE_ASSIGN_OR_RETURN(const auto response, answer(CallerId(), request));
  EncodedResponse encoded;
  encoded.pieces.push_back({response.SerializeAsString(), Buffer()});
  return encoded;
}

}  // namespace

// One Forward or Backward. Its inputs are the caller's, who waits.
class Engine::TensorCall final : private TensorEvaluation {
 public:
  TensorCall(const ServingParts& parts, TensorMethod method, const Call& call)
      : TensorEvaluation(method, parts, absl::Now(), call.deadline),
        call_(call) {
    if (call.on_device == nullptr) return;
    for (const Fragment& fragment : call.message) {
      if (call.on_device(fragment.data) != nullptr) {
        device_places_.CountInput(fragment.size_bytes);
      }
    }
    for (const absl::Span<std::byte> output : call.outputs) {
      if (call.on_device(output.data()) != nullptr) {
        device_places_.CountOutput();
      }
    }
  }

  absl::StatusOr<EncodedResponse> Wait() {
    Run(call_.message);
    done_.WaitForNotification();
    return std::move(response_);
  }

 private:
  CallerId caller() const override { return {}; }
  bool IsCancelled() const override {
    return call_.is_cancelled != nullptr && call_.is_cancelled();
  }
  bool OwnsInputs() const override { return false; }
  std::shared_ptr<const void> ReleaseInputs() override { return nullptr; }
  std::byte* PlaceOf(size_t tensor, int64_t size_bytes) override {
    return OutputPlaces{call_.outputs, call_.message}.Find(request(), tensor,
                                                           size_bytes);
  }
  absl::Status PlaceTensors(WorkItem& item) override {
    if (call_.on_device == nullptr) return absl::OkStatus();
    return device_places_.Place(call_.on_device, item);
  }
  void Respond(EncodedResponse response, const Stages& /*stages*/) override {
    response_ = std::move(response);
    done_.Notify();
  }
  void Fail(const absl::Status& status) override {
    response_ = status;
    done_.Notify();
  }

  const Call& call_;
  DevicePlaces device_places_;
  absl::StatusOr<EncodedResponse> response_;
  absl::Notification done_;
};

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(
    const EngineOptions& options, ChosenDevice device) {
  ACTSERVE_ASSIGN_OR_RETURN(auto registry, Registry::Create(options.registry));
  v1::ServerInfo info = InfoOf(options, device);
  return std::unique_ptr<Engine>(new Engine(
      options, std::move(device), std::move(registry), std::move(info)));
}

Engine::Engine(const EngineOptions& options, ChosenDevice device,
               std::unique_ptr<Registry> registry, v1::ServerInfo info)
    : device_(std::move(device.device)),
      registry_(std::move(registry)),
      buffers_(BufferPool::Create(options.max_idle_buffer_bytes)),
      residuals_(ResidualOptionsOf(options), Clock::Real()),
      plans_(options.plans, registry_.get()),
      programs_(options.programs, device_.get(), Clock::Real(), &compile_pool_),
      memory_(options.max_memory_bytes),
      serving_{RequestLimitsOf(options),
               *device_,
               *registry_,
               plans_,
               programs_,
               scheduler_,
               residuals_,
               *buffers_,
               memory_},
      control_(std::move(info), serving_),
      scheduler_(SchedulerOptionsOf(options, device), device_.get(),
                 Clock::Real()),
      compile_pool_({.num_threads = options.compile_threads,
                     .max_queued = options.max_queued_compilations,
                     .name = "compile queue",
                     .flag = "max_queued_compilations",
                     .retry_after = absl::Seconds(1)}) {}

absl::StatusOr<EncodedResponse> Engine::Serve(const Call& call) {
  SweepIfDue();
  const absl::string_view method = call.method;
  if (method == "Forward") {
    return TensorCall(serving_, TensorMethod::kForward, call).Wait();
  }
  if (method == "Backward") {
    return TensorCall(serving_, TensorMethod::kBackward, call).Wait();
  }
  if (method == "RegisterActivation") {
    return Control<v1::RegisterActivationRequest>(
        call.message, [this](const CallerId& caller, const auto& request) {
          return control_.RegisterActivation(caller, request);
        });
  }
  if (method == "GetActivation") {
    return Control<v1::GetActivationRequest>(
        call.message, [this](const CallerId& caller, const auto& request) {
          return control_.GetActivation(caller, request);
        });
  }
  if (method == "ListActivations") {
    return Control<v1::ListActivationsRequest>(
        call.message, [this](const CallerId& caller, const auto& request) {
          return control_.ListActivations(caller, request);
        });
  }
  if (method == "ReleaseResiduals") {
    return Control<v1::ReleaseResidualsRequest>(
        call.message, [this](const CallerId& caller, const auto& request) {
          return absl::StatusOr<v1::ReleaseResidualsResponse>(
              control_.ReleaseResiduals(caller, request));
        });
  }
  if (method == "GetServerInfo") {
    return Control<v1::GetServerInfoRequest>(
        call.message, [this](const CallerId&, const auto&) {
          return absl::StatusOr<v1::ServerInfo>(control_.GetServerInfo());
        });
  }
  return absl::UnimplementedError(absl::StrCat("no method ", method));
}

std::optional<absl::Status> Engine::ServePlain(const Call& call) {
  const bool is_forward = call.method == "Forward";
  if (!is_forward && call.method != "Backward") return std::nullopt;
  if (call.is_cancelled != nullptr && call.is_cancelled()) return std::nullopt;
  if (call.deadline < absl::Now()) return std::nullopt;
  SweepIfDue();
  return RunPlainCall(
      serving_, is_forward ? TensorMethod::kForward : TensorMethod::kBackward,
      call.message, call.outputs);
}

void Engine::SweepIfDue() {
  const int64_t now = absl::GetCurrentTimeNanos();
  int64_t due = next_sweep_nanos_.load(std::memory_order_relaxed);
  if (now < due) return;
  const int64_t next = now + absl::ToInt64Nanoseconds(kSweepPeriod);
  if (next_sweep_nanos_.compare_exchange_strong(due, next)) residuals_.Sweep();
}

}  // namespace actserve
