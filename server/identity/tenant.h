#ifndef ACTSERVE_SERVER_IDENTITY_TENANT_H_
#define ACTSERVE_SERVER_IDENTITY_TENANT_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/scheduling/caller_id.h"

namespace actserve {

// What one tenant may use of a server. The default is no limit but those that
// every caller has.
struct TenantQuotas {
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  // Calls, but for those of the health service; a second's worth may come at
  // once. A call that is denied for its role counts as well.
  double requests_per_second = std::numeric_limits<double>::infinity();
  // Memory of requests that run and of their results.
  int64_t bytes_in_flight = kNoLimit;
  // Memory of residuals.
  int64_t residual_bytes = kNoLimit;
  int64_t registered_activations = kNoLimit;
  // Infinite: --max_compile_seconds_per_minute.
  absl::Duration compile_time_per_minute = absl::InfiniteDuration();
};

// Those who share residuals, texts and quotas. Thread-safe, without locks.
class Tenant {
 public:
  // `number` differs from those of all other tenants of the process.
  Tenant(std::string name, uint64_t number)
      : name_(std::move(name)), number_(number) {}

  const std::string& name() const { return name_; }
  uint64_t number() const { return number_; }

  // A quota that falls below what is used only refuses more.
  void SetQuotas(const TenantQuotas& quotas);

  // Counts a request.
  //   ResourceExhausted  too many came; RetryAfter() says when the next may
  absl::Status TakeRequest(absl::Time now);

  // Counts bytes in flight, until they are given back.
  //   ResourceExhausted  too many; nothing was counted
  absl::Status TakeBytes(int64_t bytes);
  void GiveBackBytes(int64_t bytes) {
    bytes_in_flight_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  int64_t bytes_in_flight() const {
    return bytes_in_flight_.load(std::memory_order_relaxed);
  }
  int64_t max_residual_bytes() const {
    return max_residual_bytes_.load(std::memory_order_relaxed);
  }
  int64_t max_registered() const {
    return max_registered_.load(std::memory_order_relaxed);
  }
  // Infinite: none of its own.
  absl::Duration compile_time_per_minute() const;

 private:
  const std::string name_;
  const uint64_t number_;
  // What one request takes of a second; 0: nothing.
  std::atomic<int64_t> nanos_per_request_ = 0;
  // When a full bucket would have been filled by the requests so far: the
  // generic cell rate algorithm of ATM needs no other state.
  std::atomic<int64_t> full_at_nanos_ = 0;
  std::atomic<int64_t> max_bytes_in_flight_ = TenantQuotas::kNoLimit;
  std::atomic<int64_t> bytes_in_flight_ = 0;
  std::atomic<int64_t> max_residual_bytes_ = TenantQuotas::kNoLimit;
  std::atomic<int64_t> max_registered_ = TenantQuotas::kNoLimit;
  std::atomic<int64_t> compile_nanos_per_minute_ = TenantQuotas::kNoLimit;
};

// The tenant of a caller; "" if the server knows none.
inline std::string TenantNameOf(const CallerId& caller) {
  return caller.tenant != nullptr ? caller.tenant->name() : "";
}

}  // namespace actserve

#endif  // ACTSERVE_SERVER_IDENTITY_TENANT_H_
