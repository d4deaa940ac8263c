#ifndef ACTSERVE_CLIENT_LOAD_RUN_LOAD_H_
#define ACTSERVE_CLIENT_LOAD_RUN_LOAD_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/load/record/recorder.h"
#include "client/load/run/source.h"
#include "client/load/run/target.h"
#include "client/load/schedule/load_plan.h"

namespace actserve {

// A workload under way: threads that send the requests of a plan and count the
// answers.
//
// Each thread takes the next request before its time and sleeps until then, so
// that sending needs no hand-over between threads. Where the answers are so
// slow that all threads wait, requests go late, and what they waited counts:
// latency is taken from the intended time.
class Load {
 public:
  struct Options {
    uint64_t seed = 1;
    // When the plan begins, of MonotonicNanos().
    int64_t start_nanos = 0;
    // When the first window begins, and how long each is.
    int64_t first_nanos = 0;
    int64_t window_nanos = 1'000'000'000;
    // True to remember what was sent when.
    bool record_trace = false;
  };
  // `target` must outlive the load.
  //   InvalidArgument  the trace names a request that the workload has not
  static absl::StatusOr<std::unique_ptr<Load>> Start(Target& target,
                                                     const LoadPlan& plan,
                                                     const Options& options);
  // Stop() must have been called.
  ~Load();

  // Ends it at `end_nanos`, which is now: sends no more, waits for the calls
  // under way, and counts the requests whose time had come as UNSENT.
  void Stop(int64_t end_nanos);

  const Recorder& recorder() const { return recorder_; }
  // True once a plan that ends has ended, and its calls too.
  bool ended() const { return num_running_ == 0; }
  std::vector<TraceEntry> TakeTrace();

 private:
  Load(Target& target, const LoadPlan& plan, std::vector<int> trace_requests,
       const Options& options);
  void Work();
  // Returns false if the load ended before.
  bool AwaitTime(int64_t nanos);
  void Send(const Source::Item& item, int64_t intended_nanos, bool blocked);

  Target& target_;
  const LoadPlan plan_;
  const Options options_;
  Source source_;
  Recorder recorder_;
  std::atomic<bool> stopped_ = false;
  std::atomic<int64_t> end_nanos_ = 0;  // once stopped
  std::atomic<int> num_running_ = 0;
  // Of the standard library, which waits by the monotonic clock.
  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  std::vector<std::thread> threads_;
  absl::Mutex trace_mutex_;
  std::vector<TraceEntry> trace_ ABSL_GUARDED_BY(trace_mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_LOAD_H_
