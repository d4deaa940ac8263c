#include "server/metrics/call_metrics.h"

#include <utility>

#include "server/metrics/bounds.h"
#include "server/metrics/refusals.h"

namespace actserve {
namespace {

constexpr std::array<absl::string_view, CallMetrics::kNumMethods> kNames = {
    "Forward",         "Backward",           "ForwardStream",
    "BackwardStream",  "RegisterActivation", "GetActivation",
    "ListActivations", "ReleaseResiduals",   "GetServerInfo",
    "ModelInfer",      "ModelStreamInfer",   "other"};

template <size_t N>
std::array<StripedHistogram, N> LatencyHistograms() {
  return []<size_t... I>(std::index_sequence<I...>) {
    return std::array<StripedHistogram, N>{
        ((void)I, StripedHistogram(kLatencyBounds))...};
  }(std::make_index_sequence<N>());
}

}  // namespace

absl::string_view NameOf(Method method) {
  return kNames[static_cast<size_t>(method)];
}

CallMetrics::CallMetrics()
    : times_(LatencyHistograms<kNumMethods>()),
      stages_(LatencyHistograms<kNumStages>()) {}

void CallMetrics::CountCall(Method method, absl::StatusCode code,
                            absl::Duration time) {
  const auto row = static_cast<size_t>(method);
  auto column = static_cast<size_t>(code);
  if (column >= kNumCodes)
    column = static_cast<size_t>(absl::StatusCode::kUnknown);
  stripes_[ThreadStripe()].calls[row][column].fetch_add(
      1, std::memory_order_relaxed);
  times_[row].Observe(absl::ToInt64Nanoseconds(time));
  if (code == absl::StatusCode::kUnauthenticated) {
    CountRefusal(Refusal::kUnauthenticated);
  } else if (code == absl::StatusCode::kPermissionDenied) {
    CountRefusal(Refusal::kPermissionDenied);
  }
  if (method == Method::kOther) return;
  if (code == absl::StatusCode::kInvalidArgument) {
    CountRefusal(Refusal::kInvalid);
  } else if (code == absl::StatusCode::kUnavailable) {
    CountRefusal(device_is_lost_.load() ? Refusal::kDeviceLost
                                        : Refusal::kDraining);
  }
}

int64_t CallMetrics::num_calls(Method method, size_t code) const {
  int64_t sum = 0;
  for (const Stripe& stripe : stripes_) {
    sum += stripe.calls[static_cast<size_t>(method)][code].load(
        std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace actserve
