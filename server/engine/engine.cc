#include "server/engine/engine.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/evaluation/evaluation.h"
#include "server/message/control_request.h"

namespace actserve {
namespace {

constexpr absl::Duration kSweepPeriod = absl::Seconds(1);

bool Overlap(const std::byte* a, size_t a_bytes, const std::byte* b,
             size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

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
class Engine::TensorCall final : private Evaluation {
 public:
  TensorCall(const ServingParts& parts, TensorMethod method, const Call& call)
      : Evaluation(parts, absl::Now(), call.deadline),
        method_(method),
        call_(call) {}

  absl::StatusOr<EncodedResponse> Run() {
    ACTSERVE_RETURN_IF_ERROR(
        Split(call_.message, parts().limits.split, &split_));
    if (auto plan = parts().plans.Find(method_, split_)) {
      Evaluate(std::move(plan), split_);
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(
          DecodedRequest decoded,
          method_ == TensorMethod::kForward
              ? DecodeForward(split_, parts().limits, parts().registry)
              : DecodeBackward(split_, parts().limits, parts().registry,
                               parts().residuals));
      Evaluate(std::move(decoded));
    }
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

  void OnPlan(const std::shared_ptr<CallPlan>& plan) override {
    plan->response_head = ConstantResponseHead(plan->request, *plan->program,
                                               parts().device.name());
    parts().plans.Put(method_, split_, plan);
  }

  std::byte* PlaceOf(size_t tensor, int64_t size_bytes) override {
    if (call_.outputs.empty()) return nullptr;
    const std::vector<size_t> tensors = PayloadTensors(request());
    if (call_.outputs.size() != tensors.size()) return nullptr;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i] != tensor) continue;
      const bool fits =
          call_.outputs[i].size() == static_cast<size_t>(size_bytes);
      return fits && IsFree(i) ? call_.outputs[i].data() : nullptr;
    }
    return nullptr;
  }

  // True if nothing else lies where output `i` is to be written.
  bool IsFree(size_t i) const {
    const absl::Span<std::byte> output = call_.outputs[i];
    for (const Fragment& fragment : call_.message) {
      if (Overlap(output.data(), output.size(), fragment.data,
                  fragment.size_bytes)) {
        return false;
      }
    }
    for (size_t k = 0; k < call_.outputs.size(); ++k) {
      if (k != i && Overlap(output.data(), output.size(),
                            call_.outputs[k].data(), call_.outputs[k].size())) {
        return false;
      }
    }
    return true;
  }

  void Succeed(TensorResult result) override {
    std::string head = !plan()->response_head.empty()
                           ? plan()->response_head
                           : ResponseHead(request(), *plan()->program,
                                          parts().device.name(), result.sums);
    response_ = EncodeResponse(request(), std::move(head), std::move(result));
    done_.Notify();
  }
  void Fail(const absl::Status& status) override {
    response_ = status;
    done_.Notify();
  }

  const TensorMethod method_;
  const Call& call_;
  SplitRequest split_;
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
    return TensorCall(serving_, TensorMethod::kForward, call).Run();
  }
  if (method == "Backward") {
    return TensorCall(serving_, TensorMethod::kBackward, call).Run();
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

void Engine::SweepIfDue() {
  const int64_t now = absl::GetCurrentTimeNanos();
  int64_t due = next_sweep_nanos_.load(std::memory_order_relaxed);
  if (now < due) return;
  const int64_t next = now + absl::ToInt64Nanoseconds(kSweepPeriod);
  if (next_sweep_nanos_.compare_exchange_strong(due, next)) residuals_.Sweep();
}

}  // namespace actserve
