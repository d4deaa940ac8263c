// Short ways to spell metrics of prometheus-cpp.

#ifndef ACTSERVE_SERVER_METRICS_ENDPOINT_FAMILIES_H_
#define ACTSERVE_SERVER_METRICS_ENDPOINT_FAMILIES_H_

#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"
#include "server/metrics/striped_histogram.h"

namespace actserve {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// Families without metrics; add them by the functions below.
prometheus::MetricFamily CounterFamily(std::string name, std::string help);
prometheus::MetricFamily GaugeFamily(std::string name, std::string help);
prometheus::MetricFamily HistogramFamily(std::string name, std::string help);

// Adds a value to a family of counters or gauges.
void AddValue(double value, Labels labels, prometheus::MetricFamily* family);
// The observed numbers times `unit` are what the metric is in: 1e-9 for
// nanoseconds and seconds.
void AddHistogram(const StripedHistogram::Snapshot& snapshot, double unit,
                  Labels labels, prometheus::MetricFamily* family);

// A family with one metric and no labels.
prometheus::MetricFamily Counter(std::string name, std::string help,
                                 double value);
prometheus::MetricFamily Gauge(std::string name, std::string help,
                               double value);
prometheus::MetricFamily Histogram(std::string name, std::string help,
                                   const StripedHistogram::Snapshot& snapshot,
                                   double unit);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_ENDPOINT_FAMILIES_H_
