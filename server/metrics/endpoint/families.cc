#include "server/metrics/endpoint/families.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace actserve {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

}  // namespace

MetricFamily CounterFamily(std::string name, std::string help) {
  return Family(std::move(name), std::move(help), MetricType::Counter);
}

MetricFamily GaugeFamily(std::string name, std::string help) {
  return Family(std::move(name), std::move(help), MetricType::Gauge);
}

MetricFamily HistogramFamily(std::string name, std::string help) {
  return Family(std::move(name), std::move(help), MetricType::Histogram);
}

void AddValue(double value, Labels labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

void AddHistogram(const StripedHistogram::Snapshot& snapshot, double unit,
                  Labels labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  ClientMetric::Histogram& histogram = metric.histogram;
  uint64_t count = 0;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    count += static_cast<uint64_t>(snapshot.counts[i]);
    const double bound = i < snapshot.bounds.size()
                             ? static_cast<double>(snapshot.bounds[i]) * unit
                             : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({count, bound});
  }
  histogram.sample_count = count;
  histogram.sample_sum = static_cast<double>(snapshot.sum) * unit;
  family->metric.push_back(std::move(metric));
}

MetricFamily Counter(std::string name, std::string help, double value) {
  MetricFamily family = CounterFamily(std::move(name), std::move(help));
  AddValue(value, {}, &family);
  return family;
}

MetricFamily Gauge(std::string name, std::string help, double value) {
  MetricFamily family = GaugeFamily(std::move(name), std::move(help));
  AddValue(value, {}, &family);
  return family;
}

MetricFamily Histogram(std::string name, std::string help,
                       const StripedHistogram::Snapshot& snapshot,
                       double unit) {
  MetricFamily family = HistogramFamily(std::move(name), std::move(help));
  AddHistogram(snapshot, unit, {}, &family);
  return family;
}

}  // namespace actserve
