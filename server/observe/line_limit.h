#ifndef ACTSERVE_SERVER_OBSERVE_LINE_LIMIT_H_
#define ACTSERVE_SERVER_OBSERVE_LINE_LIMIT_H_

#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace actserve {

// Bounds the lines of one kind in the log, and counts those that were left out.
// Thread-safe.
class LineLimit {
 public:
  explicit LineLimit(int lines_per_second)
      : lines_per_second_(lines_per_second) {}

  // Returns whether to write a line at `now`.
  bool Allow(absl::Time now) {
    const int64_t second = absl::ToUnixSeconds(now);
    absl::MutexLock lock(&mu_);
    if (second != second_) {
      second_ = second;
      num_lines_ = 0;
    }
    if (num_lines_ < lines_per_second_) {
      ++num_lines_;
      return true;
    }
    ++num_left_out_;
    return false;
  }

  // The lines left out since the last call of this.
  int64_t TakeNumLeftOut() {
    absl::MutexLock lock(&mu_);
    return std::exchange(num_left_out_, 0);
  }

 private:
  const int lines_per_second_;
  absl::Mutex mu_;
  int64_t second_ ABSL_GUARDED_BY(mu_) = 0;
  int num_lines_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t num_left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OBSERVE_LINE_LIMIT_H_
