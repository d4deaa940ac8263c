#include "server/scheduling/worker_pool.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduling/retry_after.h"

namespace actserve {

WorkerPool::WorkerPool(Options options)
    : options_(std::move(options)), queue_(options_.max_queued) {
  threads_.reserve(options_.num_threads);
  for (int i = 0; i < options_.num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

WorkerPool::~WorkerPool() {
  Discard(absl::UnavailableError("the server is shutting down"));
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Submit(const CallerId& caller, Task task) {
  std::optional<Task> refused;
  absl::Status why;
  {
    absl::MutexLock lock(&mu_);
    why = discarded_;
    if (!why.ok()) {
      refused = std::move(task);
    } else {
      refused = queue_.Push(caller, std::move(task));
    }
  }
  if (!refused.has_value()) return;
  (*refused)(why.ok() ? Full() : why);
}

void WorkerPool::Discard(const absl::Status& why) {
  std::vector<Task> tasks;
  {
    absl::MutexLock lock(&mu_);
    discarded_ = why;
    while (std::optional<Task> task = queue_.Pop()) {
      tasks.push_back(*std::move(task));
    }
  }
  for (const Task& task : tasks) task(why);
}

absl::Status WorkerPool::Full() const {
  CountRefusal(options_.refusal);
  return WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat(
                            options_.name, " full: ", options_.max_queued,
                            " waiting, most of them of this caller, limit ",
                            options_.max_queued, " (", options_.flag, ")")),
                        options_.retry_after);
}

void WorkerPool::Work() {
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || !queue_.empty();
  };
  while (true) {
    std::optional<Task> task;
    {
      absl::MutexLock lock(&mu_, absl::Condition(&ready));
      task = options_.used_time ? queue_.Pop(options_.used_time) : queue_.Pop();
    }
    if (!task.has_value()) return;
    (*task)(absl::OkStatus());
  }
}

}  // namespace actserve
