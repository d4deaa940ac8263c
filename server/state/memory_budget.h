#ifndef ACTSERVE_SERVER_STATE_MEMORY_BUDGET_H_
#define ACTSERVE_SERVER_STATE_MEMORY_BUDGET_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "server/identity/tenant.h"
#include "server/scheduling/caller_id.h"

namespace actserve {

// Counts the memory that the calls of all callers hold, from the arrival of
// their bytes until their answers are sent, and refuses what does not fit. One
// half is for requests and the residuals that keep them, the other for results
// and copies.
//
// A peer may hold at most kShare times what it leaves free, so nobody takes
// all, whatever the size of its calls: one peer gets up to 4/5 of a half, two
// get 4/9 each, and whoever holds nothing always finds some (the dynamic
// thresholds of Choudhury and Hahne, 1998). The connections of a peer share
// what it may hold in the same way. Peers and connections are counted in kSlots
// slots each; those of one slot share a limit.
//
// Thread-safe, without locks. Charges may outlive the budget.
class MemoryBudget {
 public:
  enum class Half { kRequests, kResults };
  static constexpr int64_t kShare = 4;
  static constexpr size_t kSlots = 1024;

 private:
  struct State {
    State(const std::array<int64_t, 2>& limits,
          std::shared_ptr<const void> tenants)
        : limits(limits), tenants(std::move(tenants)) {}
    const std::array<int64_t, 2> limits;
    std::array<std::atomic<int64_t>, 2> used = {};
    std::array<std::atomic<int64_t>, 2> peak = {};
    using Slots = std::array<std::atomic<int64_t>, kSlots>;
    std::array<Slots, 2> used_by_peer = {};
    std::array<Slots, 2> used_by_connection = {};
    std::atomic<int64_t> num_refused = 0;
    const std::shared_ptr<const void> tenants;
  };

 public:
  // Bytes that a caller holds until the charge is destroyed. Move-only.
  class Charge {
   public:
    Charge() = default;
    Charge(Charge&& other) noexcept { *this = std::move(other); }
    Charge& operator=(Charge&& other) noexcept {
      std::swap(state_, other.state_);
      std::swap(half_, other.half_);
      std::swap(peer_slot_, other.peer_slot_);
      std::swap(connection_slot_, other.connection_slot_);
      std::swap(bytes_, other.bytes_);
      std::swap(tenant_, other.tenant_);
      return *this;
    }
    ~Charge();

    int64_t bytes() const { return bytes_; }

    // Counts the bytes no longer as the tenant's in flight: a residual keeps
    // them, which has a quota of its own.
    void LeaveFlight();

   private:
    friend class MemoryBudget;
    std::shared_ptr<State> state_;
    size_t half_ = 0;
    size_t peer_slot_ = 0;
    size_t connection_slot_ = 0;
    int64_t bytes_ = 0;
    // Null if the bytes are not in flight.
    Tenant* tenant_ = nullptr;
  };

  // `tenants` keeps those of all callers alive, as long as a charge needs them.
  explicit MemoryBudget(int64_t max_bytes,
                        std::shared_ptr<const void> tenants = nullptr);

  // Charges `bytes` to `caller`.
  //   ResourceExhausted  they do not fit, or are more than the caller's share
  //                      or its tenant's quota: back off
  absl::StatusOr<Charge> Take(Half half, const CallerId& caller, int64_t bytes);

  // What may arrive and lie in messages, kept residuals included: the bound for
  // the transport. A quarter of it is left to what still arrives.
  static int64_t MaxMessageBytes(int64_t max_bytes) { return max_bytes / 2; }

  // What open streams may take in gRPC, which nobody charges: in addition.
  static int64_t MaxStreamBytes(int64_t max_bytes) { return max_bytes / 8; }

  // What residuals may keep of the memory for requests: 3/8 of it. So a peer
  // that holds them all is not locked out by another that takes what it can:
  // that one gets 4/5 of what is left, which is 1/2, and the first may hold 4
  // times the last 1/8, which is 1/2 too.
  static int64_t MaxKeptBytes(int64_t max_bytes) {
    return MaxMessageBytes(max_bytes) / 8 * 3;
  }

  int64_t used_bytes(Half half) const {
    return state_->used[static_cast<size_t>(half)].load();
  }
  // What charges of a half may be together.
  int64_t limit_bytes(Half half) const {
    return state_->limits[static_cast<size_t>(half)];
  }
  // The most that was used since the last call.
  int64_t TakePeak(Half half);
  // Charges that were refused so far.
  int64_t num_refused() const { return state_->num_refused.load(); }

 private:
  const std::shared_ptr<State> state_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_MEMORY_BUDGET_H_
