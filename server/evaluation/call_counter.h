#ifndef ACTSERVE_SERVER_RPC_CALL_COUNTER_H_
#define ACTSERVE_SERVER_RPC_CALL_COUNTER_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace actserve {

// Counts the running calls and the answers that are not sent yet, large ones
// and those of a Watch. Refuses new calls once it is closed. Thread-safe.
class CallCounter {
 public:
  // Counts one more call. After Close() returns false and counts nothing.
  bool Enter() {
    absl::MutexLock lock(&mu_);
    if (closed_) return false;
    ++count_;
    return true;
  }

  // Counts an answer of a call that is counted. It leaves when it is sent.
  void EnterAnswer() {
    absl::MutexLock lock(&mu_);
    ++count_;
  }

  // Call once for each Enter() that returned true, and each EnterAnswer().
  void Leave() {
    absl::MutexLock lock(&mu_);
    --count_;
  }

  void Close() {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }

  // Waits until no call runs. Returns false if one still runs at `deadline`.
  bool AwaitNone(absl::Time deadline) {
    const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return count_ == 0;
    };
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithDeadline(absl::Condition(&none), deadline);
  }

 private:
  absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_CALL_COUNTER_H_
