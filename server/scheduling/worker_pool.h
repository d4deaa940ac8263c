#ifndef ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_
#define ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/metrics/refusals.h"
#include "server/scheduling/caller_id.h"
#include "server/scheduling/turn_queue.h"

namespace actserve {

// Threads for work that takes milliseconds to seconds, such as compilations.
// The callers take turns (see TurnQueue), by count or by time. Thread-safe.
class WorkerPool {
 public:
  struct Options {
    int num_threads = 1;
    // Limit on the tasks that wait, not counting those that run.
    int max_queued = 256;
    // The queue and the flag of its limit, for people.
    std::string name = "queue";
    std::string flag = "";
    // How refused tasks are counted.
    Refusal refusal = Refusal::kControlQueue;
    // What a caller whose task is refused is told to wait.
    absl::Duration retry_after = absl::Milliseconds(100);
    // What a peer has used of the threads lately: the one with the least goes
    // first, and equal ones take turns. Null: all take turns. Must be
    // thread-safe and not call the pool.
    std::function<absl::Duration(uint64_t peer)> used_time = nullptr;
  };

  // Called once, by a thread of the pool if the status is OK, and then it does
  // its work; by any thread if not, and then it never will:
  //   ResourceExhausted  its caller fills the queue
  // and what Discard() was given. Must not call the pool if the status is not
  // OK.
  using Task = std::function<void(const absl::Status& turn)>;

  explicit WorkerPool(Options options);

  // Discards what waits with Unavailable, and waits for what runs.
  ~WorkerPool();

  // Takes `task`. May call it, or another that gives way to it, with an error
  // before it returns.
  void Submit(const CallerId& caller, Task task);

  // Tells every task that waits, and every one to come, `why`, which is not OK.
  // Leaves alone what runs.
  void Discard(const absl::Status& why);

 private:
  void Work();
  absl::Status Full() const;

  const Options options_;
  absl::Mutex mu_;
  TurnQueue<Task> queue_ ABSL_GUARDED_BY(mu_);
  // Not OK after Discard().
  absl::Status discarded_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_
