#include "server/identity/tenant.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

void Tenant::SetQuotas(const TenantQuotas& quotas) {
  // 0 without a limit.
  nanos_per_request_ = static_cast<int64_t>(std::ceil(
      static_cast<double>(kNanosPerSecond) / quotas.requests_per_second));
  max_bytes_in_flight_ = quotas.bytes_in_flight;
  max_residual_bytes_ = quotas.residual_bytes;
  max_registered_ = quotas.registered_activations;
  compile_nanos_per_minute_ =
      quotas.compile_time_per_minute == absl::InfiniteDuration()
          ? TenantQuotas::kNoLimit
          : absl::ToInt64Nanoseconds(quotas.compile_time_per_minute);
}

absl::Duration Tenant::compile_time_per_minute() const {
  const int64_t nanos =
      compile_nanos_per_minute_.load(std::memory_order_relaxed);
  return nanos == TenantQuotas::kNoLimit ? absl::InfiniteDuration()
                                         : absl::Nanoseconds(nanos);
}

absl::Status Tenant::TakeRequest(absl::Time now) {
  const int64_t cost = nanos_per_request_.load(std::memory_order_relaxed);
  if (cost == 0) return absl::OkStatus();
  // At less than one request a second one may still come at once.
  const int64_t burst = std::max(kNanosPerSecond, cost);
  const int64_t now_nanos = absl::ToUnixNanos(now);
  int64_t full_at = full_at_nanos_.load(std::memory_order_relaxed);
  while (true) {
    // Further ahead it is only if the clock was set back or the quota raised.
    const int64_t known = std::min(full_at, now_nanos + burst);
    const int64_t next = std::max(known, now_nanos) + cost;
    const int64_t wait = next - now_nanos - burst;
    const int64_t left = wait > 0 ? known : next;
    if (left != full_at && !full_at_nanos_.compare_exchange_weak(
                               full_at, left, std::memory_order_relaxed)) {
      continue;
    }
    if (wait <= 0) return absl::OkStatus();
    return WithRetryAfter(
        absl::ResourceExhaustedError(absl::StrCat(
            "too many requests, limit ",
            static_cast<double>(kNanosPerSecond) / static_cast<double>(cost),
            " a second for this tenant (requests_per_second)")),
        absl::Nanoseconds(wait));
  }
}

absl::Status Tenant::TakeBytes(int64_t bytes) {
  const int64_t limit = max_bytes_in_flight_.load(std::memory_order_relaxed);
  const int64_t before =
      bytes_in_flight_.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes <= limit && before <= limit - bytes) return absl::OkStatus();
  GiveBackBytes(bytes);
  return absl::ResourceExhaustedError(
      absl::StrCat(bytes, " bytes on top of ", before, " in flight, limit ",
                   limit, " for this tenant (bytes_in_flight)"));
}

}  // namespace actserve
