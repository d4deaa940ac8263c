#ifndef ACTSERVE_CLIENT_LOAD_RECORD_RECORDER_H_
#define ACTSERVE_CLIENT_LOAD_RECORD_RECORDER_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/load/record/histogram.h"
#include "client/load/record/tally.h"

namespace actserve {

// Counts the calls of one workload in windows of equal length, by their end.
//
// Thread-safe.
class Recorder {
 public:
  // Which calls count.
  enum class Counts {
    // Those that were to be sent from the first window on, however long they
    // took: all of an open loop.
    kIntended,
    // Those that ended from the first window on and before Close().
    kEnded,
  };
  // The first window begins at `first_nanos`; before is warm-up.
  Recorder(Counts counts, int64_t first_nanos, int64_t window_nanos,
           int num_requests);

  void Add(const CallEnd& end);
  // The load ends at `nanos`.
  void Close(int64_t nanos);

  struct Snapshot {
    // The last one may not be over. Those after Close() have the calls that
    // ended later.
    std::vector<Tally> windows;
    std::vector<Tally> requests;  // one for each request of the mix
    // How late calls were sent for which something was free: what the generator
    // adds by itself.
    Histogram lag;
  };
  Snapshot Take() const;
  // The window of that number, empty if no call has ended in it.
  Tally Window(int index) const;

 private:
  const Counts counts_;
  const int64_t first_nanos_;
  const int64_t window_nanos_;
  mutable absl::Mutex mutex_;
  int64_t end_nanos_ ABSL_GUARDED_BY(mutex_) =
      std::numeric_limits<int64_t>::max();
  Snapshot all_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RECORD_RECORDER_H_
