#include "client/load/run/server_metrics.h"

#include <httplib.h>

#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace actserve {

MetricValues ParseMetrics(const std::string& text) {
  MetricValues values;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    // Values of labels may have spaces; the value of the series has none.
    const size_t brace = line.rfind('}');
    const size_t space =
        line.find(' ', brace == absl::string_view::npos ? 0 : brace);
    if (space == absl::string_view::npos) continue;
    double value = 0;
    const absl::string_view rest =
        absl::StripAsciiWhitespace(line.substr(space));
    if (absl::SimpleAtod(rest.substr(0, rest.find(' ')), &value)) {
      values[std::string(line.substr(0, space))] = value;
    }
  }
  return values;
}

double MetricSum(const MetricValues& values, const std::string& name) {
  if (const auto found = values.find(name); found != values.end()) {
    return found->second;
  }
  double sum = 0;
  const std::string prefix = name + "{";
  for (auto series = values.lower_bound(prefix);
       series != values.end() && absl::StartsWith(series->first, prefix);
       ++series) {
    sum += series->second;
  }
  return sum;
}

double MetricQuantile(const MetricValues& before, const MetricValues& after,
                      const std::string& name, double q) {
  // Cumulative counts by upper bound, over all other labels.
  std::map<double, double> counts;
  const std::string prefix = name + "_bucket{";
  for (auto series = after.lower_bound(prefix);
       series != after.end() && absl::StartsWith(series->first, prefix);
       ++series) {
    constexpr absl::string_view kLabel = "le=\"";
    const size_t at = series->first.find(std::string(kLabel));
    if (at == std::string::npos) continue;
    const size_t begin = at + kLabel.size();
    const std::string bound =
        series->first.substr(begin, series->first.find('"', begin) - begin);
    double upper = std::numeric_limits<double>::infinity();
    if (bound != "+Inf" && !absl::SimpleAtod(bound, &upper)) continue;
    const auto old = before.find(series->first);
    counts[upper] += series->second - (old == before.end() ? 0 : old->second);
  }
  if (counts.empty() || counts.rbegin()->second <= 0) return 0;
  const double rank = q * counts.rbegin()->second;
  double lower = 0;
  double below = 0;
  for (const auto& [upper, count] : counts) {
    if (count >= rank) {
      if (std::isinf(upper)) return lower;
      return count == below
                 ? upper
                 : lower + (upper - lower) * (rank - below) / (count - below);
    }
    lower = upper;
    below = count;
  }
  return lower;
}

absl::StatusOr<MetricValues> ScrapeMetrics(const std::string& address) {
  httplib::Client client("http://" + address);
  client.set_connection_timeout(2);
  client.set_read_timeout(5);
  const auto response = client.Get("/metrics");
  if (!response) {
    return absl::UnavailableError(
        absl::StrCat("http://", address,
                     "/metrics: ", httplib::to_string(response.error())));
  }
  MetricValues values = ParseMetrics(response->body);
  if (response->status != 200 || values.empty()) {
    return absl::UnavailableError(
        absl::StrCat("http://", address, "/metrics: status ", response->status,
                     ", ", values.size(), " metrics"));
  }
  return values;
}

MetricsWatch::MetricsWatch(std::string address)
    : address_(std::move(address)), thread_([this] { Watch(); }) {}

MetricsWatch::~MetricsWatch() {
  if (thread_.joinable()) Stop();
}

void MetricsWatch::Watch() {
  do {
    auto values = ScrapeMetrics(address_);
    // A server that restarts is not there for a while.
    if (!values.ok()) continue;
    std::erase_if(*values, [](const auto& series) {
      return absl::StrContains(series.first, "_bucket{");
    });
    absl::MutexLock lock(&mutex_);
    samples_.push_back({absl::Now(), *std::move(values)});
  } while (!stopped_.WaitForNotificationWithTimeout(absl::Seconds(1)));
}

std::vector<MetricsWatch::Sample> MetricsWatch::Stop() {
  stopped_.Notify();
  thread_.join();
  absl::MutexLock lock(&mutex_);
  return std::move(samples_);
}

}  // namespace actserve
