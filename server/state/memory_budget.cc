#include "server/state/memory_budget.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/failpoint.h"
#include "server/metrics/refusals.h"

namespace actserve {

MemoryBudget::Charge::~Charge() {
  LeaveFlight();
  if (bytes_ == 0) return;
  state_->used[half_].fetch_sub(bytes_, std::memory_order_relaxed);
  state_->used_by_peer[half_][peer_slot_].fetch_sub(bytes_,
                                                    std::memory_order_relaxed);
  state_->used_by_connection[half_][connection_slot_].fetch_sub(
      bytes_, std::memory_order_relaxed);
}

void MemoryBudget::Charge::LeaveFlight() {
  if (tenant_ != nullptr) tenant_->GiveBackBytes(bytes_);
  tenant_ = nullptr;
}

MemoryBudget::MemoryBudget(int64_t max_bytes,
                           std::shared_ptr<const void> tenants)
    : state_(std::make_shared<State>(
          std::array<int64_t, 2>{MaxMessageBytes(max_bytes) / 4 * 3,
                                 max_bytes / 2},
          std::move(tenants))) {}

absl::StatusOr<MemoryBudget::Charge> MemoryBudget::Take(Half half,
                                                        const CallerId& caller,
                                                        int64_t bytes) {
  if (ACTSERVE_FAILPOINT("allocation_failure") != 0) {
    state_->num_refused.fetch_add(1, std::memory_order_relaxed);
    return absl::ResourceExhaustedError("failpoint: allocation_failure");
  }
  Charge charge;
  if (caller.tenant != nullptr) {
    if (absl::Status over = caller.tenant->TakeBytes(bytes); !over.ok()) {
      state_->num_refused.fetch_add(1, std::memory_order_relaxed);
      CountRefusal(Refusal::kTenantBytes);
      return over;
    }
    charge.tenant_ = caller.tenant;
  }
  charge.half_ = static_cast<size_t>(half);
  charge.peer_slot_ = absl::HashOf(caller.peer) % kSlots;
  charge.connection_slot_ = absl::HashOf(caller) % kSlots;
  charge.bytes_ = bytes;
  charge.state_ = state_;
  // Counted first: of two that come together and do not both fit, both may be
  // refused, but never both taken.
  const int64_t used =
      state_->used[charge.half_].fetch_add(bytes, std::memory_order_relaxed);
  const int64_t of_peer =
      state_->used_by_peer[charge.half_][charge.peer_slot_].fetch_add(
          bytes, std::memory_order_relaxed);
  const int64_t of_connection =
      state_->used_by_connection[charge.half_][charge.connection_slot_]
          .fetch_add(bytes, std::memory_order_relaxed);
  const int64_t limit = state_->limits[charge.half_];
  // After the charge, which may be as large as all that is free.
  const int64_t free = limit - used - bytes;
  const int64_t free_to_peer = kShare * free - of_peer - bytes;
  if (free >= 0 && free_to_peer >= 0 &&
      (of_connection + bytes) / kShare <= free_to_peer) {
    std::atomic<int64_t>& peak = state_->peak[charge.half_];
    int64_t highest = peak.load(std::memory_order_relaxed);
    while (used + bytes > highest &&
           !peak.compare_exchange_weak(highest, used + bytes,
                                       std::memory_order_relaxed)) {
    }
    return charge;
  }
  state_->num_refused.fetch_add(1, std::memory_order_relaxed);
  CountRefusal(half == Half::kRequests ? Refusal::kMemoryRequests
                                       : Refusal::kMemoryResults);
  return absl::ResourceExhaustedError(absl::StrCat(
      half == Half::kRequests ? "memory for requests" : "memory for results",
      ": ", bytes, " bytes on top of ", of_connection, " of this connection, ",
      of_peer, " of its peer and ", used, " of all: the limit is ", limit,
      ", see --max_memory_bytes"));
}

int64_t MemoryBudget::TakePeak(Half half) {
  const auto index = static_cast<size_t>(half);
  const int64_t used = state_->used[index].load();
  return std::max(used, state_->peak[index].exchange(used));
}

}  // namespace actserve
