#ifndef ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_
#define ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace actserve {

// The threads that compile texts and programs, in the order in which these
// arrive. Thread-safe.
class WorkerPool {
 public:
  // At most `max_queued` tasks wait, not counting those that run.
  WorkerPool(int num_threads, int max_queued);

  // Runs every task it accepted, then returns.
  ~WorkerPool();

  // Drops `task` if the result is not OK.
  //   ResourceExhausted  the queue is full; for the client: back off
  absl::Status Submit(std::function<void()> task);

 private:
  void Work();

  const size_t max_queued_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_WORKER_POOL_H_
