#ifndef ACTSERVE_SERVER_SCHEDULING_TIME_BUDGET_H_
#define ACTSERVE_SERVER_SCHEDULING_TIME_BUDGET_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace actserve {

// How much time of a shared thread each peer may use. A peer's debt grows by
// what it used and shrinks by its `per_minute` every minute; from
// kBurstMinutes * per_minute on it must wait. So one that comes after a pause
// may use the time of several minutes at once.
//
// Work is charged when it is done, for nobody knows before how long it takes:
// what was allowed may add one piece of work for each thread to that.
//
// Not thread-safe.
class TimeBudget {
 public:
  static constexpr int kBurstMinutes = 5;

  // How long `peer` must wait before it may use more time; zero: not at all.
  // `per_minute` is positive.
  absl::Duration Wait(uint64_t peer, absl::Duration per_minute, absl::Time now);

  void Charge(uint64_t peer, absl::Duration per_minute, absl::Duration used,
              absl::Time now);

  // What `peer` owes: what it used in the last minutes beyond its share.
  absl::Duration Owed(uint64_t peer, absl::Time now) const;

  // The peers that owe time, for tests.
  size_t num_debtors() const { return debts_.size(); }

 private:
  struct Debt {
    absl::Duration amount;
    absl::Duration per_minute;
    absl::Time at;
  };

  static absl::Duration AmountAt(const Debt& debt, absl::Time now);
  void Forget(absl::Time now);

  absl::flat_hash_map<uint64_t, Debt> debts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_TIME_BUDGET_H_
