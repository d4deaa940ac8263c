#ifndef ACTSERVE_CLIENT_LOAD_RUN_SERVER_METRICS_H_
#define ACTSERVE_CLIENT_LOAD_RUN_SERVER_METRICS_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace actserve {

// A server's metrics at one time: "name" or "name{label=...}" to the value.
using MetricValues = std::map<std::string, double>;

// Reads Prometheus' text format; lines that are none are skipped.
MetricValues ParseMetrics(const std::string& text);

// The sum of the series of `name`; of one series, if `name` has its labels. 0
// if there are none.
double MetricSum(const MetricValues& values, const std::string& name);

// The quantile `q` of what was added to the histogram `name` between two
// scrapes, as Prometheus' histogram_quantile() estimates it; 0 if nothing was.
double MetricQuantile(const MetricValues& before, const MetricValues& after,
                      const std::string& name, double q);

// Gets /metrics of `address`, "host:port".
//   Unavailable  nobody answers, or not with metrics
absl::StatusOr<MetricValues> ScrapeMetrics(const std::string& address);

// Scrapes a server every second, on a thread of its own.
//
// Thread-safe.
class MetricsWatch {
 public:
  struct Sample {
    absl::Time time;
    MetricValues values;
  };

  explicit MetricsWatch(std::string address);
  ~MetricsWatch();

  // Ends, and returns the samples, without those of buckets of histograms.
  std::vector<Sample> Stop();

 private:
  void Watch();

  const std::string address_;
  absl::Notification stopped_;
  absl::Mutex mutex_;
  std::vector<Sample> samples_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_SERVER_METRICS_H_
