#include "kernels/device/cpu/machine/thread_pool.h"

#include <algorithm>
#include <atomic>

#include "absl/time/clock.h"

namespace actserve {
namespace {

// Lets the other thread of the core go on.
void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

// One ParallelFor() call. Workers may hold it a little longer than the caller
// waits, but touch `task` only for an index that they have claimed.
struct ThreadPool::Loop {
  Loop(int64_t num_tasks, absl::FunctionRef<void(int64_t)> task)
      : num_tasks(num_tasks), task(task) {}

  // Runs tasks until none is left to claim.
  void Work() {
    for (int64_t i = next.fetch_add(1); i < num_tasks; i = next.fetch_add(1)) {
      task(i);
      if (num_done.fetch_add(1) + 1 == num_tasks) {
        absl::MutexLock lock(&mutex);
        done = true;
      }
    }
  }

  bool exhausted() const { return next.load() >= num_tasks; }
  bool ended() const { return num_done.load() == num_tasks; }

  const int64_t num_tasks;
  const absl::FunctionRef<void(int64_t)> task;
  std::atomic<int64_t> next = 0;
  std::atomic<int64_t> num_done = 0;
  absl::Mutex mutex;
  bool done ABSL_GUARDED_BY(mutex) = false;
};

ThreadPool::ThreadPool(int num_threads, absl::Duration spin) : spin_(spin) {
  for (int i = 1; i < num_threads; ++i) {
    workers_.emplace_back([this] { WorkerMain(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    num_loops_.fetch_add(1);  // for those who look for the next one
  }
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(int64_t num_tasks,
                             absl::FunctionRef<void(int64_t)> task) {
  if (num_tasks <= 1 || workers_.empty()) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
    return;
  }
  auto loop = std::make_shared<Loop>(num_tasks, task);
  {
    absl::MutexLock lock(&mutex_);
    loops_.push_back(loop);
    num_loops_.fetch_add(1);
  }
  loop->Work();
  {
    absl::MutexLock lock(&mutex_);
    loops_.erase(std::remove(loops_.begin(), loops_.end(), loop), loops_.end());
  }
  SpinUntil([&loop] { return loop->ended(); });
  if (loop->ended()) return;
  absl::MutexLock lock(&loop->mutex);
  loop->mutex.Await(absl::Condition(&loop->done));
}

void ThreadPool::WorkerMain() {
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !loops_.empty() || num_called_ > 0;
  };
  num_awake_.fetch_add(1);
  for (;;) {
    std::shared_ptr<Loop> loop;
    int64_t num_begun = 0;
    {
      absl::MutexLock lock(&mutex_);
      if (!ready()) {
        num_awake_.fetch_sub(1);
        mutex_.Await(absl::Condition(&ready));
        num_awake_.fetch_add(1);
      }
      if (stopping_) return;
      num_begun = num_loops_.load();
      if (num_called_ > 0) --num_called_;
      if (!loops_.empty()) {
        loop = loops_.front();
        if (loop->exhausted()) {
          loops_.pop_front();
          continue;
        }
      }
    }
    if (loop != nullptr) loop->Work();
    SpinUntil([this, num_begun] { return num_loops_.load() != num_begun; });
  }
}

bool ThreadPool::IsAwake() {
  if (spin_ <= absl::ZeroDuration() || workers_.empty()) return false;
  const int64_t now = absl::GetCurrentTimeNanos();
  const int64_t last = last_asked_nanos_.exchange(now);
  if (num_awake_.load() > 0) return true;
  if (now - last < absl::ToInt64Nanoseconds(spin_)) {
    absl::MutexLock lock(&mutex_);
    num_called_ = static_cast<int>(workers_.size());
  }
  return false;
}

void ThreadPool::SpinUntil(absl::FunctionRef<bool()> condition) const {
  if (spin_ <= absl::ZeroDuration()) return;
  const absl::Time end = absl::Now() + spin_;
  do {
    for (int i = 0; i < 64; ++i) {
      if (condition()) return;
      Pause();
    }
  } while (absl::Now() < end);
}

}  // namespace actserve
