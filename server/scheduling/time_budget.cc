#include "server/scheduling/time_budget.h"

#include <algorithm>

namespace actserve {
namespace {

// Debts that are paid are looked for beyond this number.
constexpr size_t kMaxDebtors = 1024;

// What seems to have taken longer has not: the clock was set meanwhile.
constexpr absl::Duration kLongestWork = absl::Minutes(10);

}  // namespace

absl::Duration TimeBudget::Wait(uint64_t peer, absl::Duration per_minute,
                                absl::Time now) {
  const auto found = debts_.find(peer);
  if (found == debts_.end()) return absl::ZeroDuration();
  // The clock was set back: what is owed is paid from now on.
  found->second.at = std::min(found->second.at, now);
  const absl::Duration over =
      AmountAt(found->second, now) - kBurstMinutes * per_minute;
  if (over < absl::ZeroDuration()) return absl::ZeroDuration();
  // A moment more, because the limit itself is too much.
  return over * absl::FDivDuration(absl::Minutes(1), per_minute) +
         absl::Milliseconds(1);
}

void TimeBudget::Charge(uint64_t peer, absl::Duration per_minute,
                        absl::Duration used, absl::Time now) {
  if (used <= absl::ZeroDuration()) return;
  used = std::min(used, kLongestWork);
  if (debts_.size() >= kMaxDebtors) Forget(now);
  Debt& debt = debts_[peer];
  debt = {AmountAt(debt, now) + used, per_minute, now};
}

absl::Duration TimeBudget::Owed(uint64_t peer, absl::Time now) const {
  const auto found = debts_.find(peer);
  return found == debts_.end() ? absl::ZeroDuration()
                               : AmountAt(found->second, now);
}

absl::Duration TimeBudget::AmountAt(const Debt& debt, absl::Time now) {
  // A clock that was set back pays nothing, and owes nothing more.
  const absl::Duration passed = std::max(absl::ZeroDuration(), now - debt.at);
  const absl::Duration paid =
      debt.per_minute * absl::FDivDuration(passed, absl::Minutes(1));
  return std::max(absl::ZeroDuration(), debt.amount - paid);
}

void TimeBudget::Forget(absl::Time now) {
  absl::erase_if(debts_, [&](const auto& debt) {
    return AmountAt(debt.second, now) == absl::ZeroDuration();
  });
}

}  // namespace actserve
