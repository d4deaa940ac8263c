#include "client/load/report/figures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "client/load/schedule/clock.h"

namespace actserve {
namespace {

using nlohmann::json;

struct NamedQuantile {
  const char* name;
  double q;
};
constexpr NamedQuantile kQuantiles[] = {{"p50", 0.5},    {"p90", 0.9},
                                        {"p95", 0.95},   {"p99", 0.99},
                                        {"p999", 0.999}, {"p9999", 0.9999}};

double Seconds(double nanos) { return nanos / 1e9; }

// [[quantile, seconds], ...]: five for each halving of what is left above, as
// HDR histograms print them.
json SpectrumOf(const Histogram& histogram) {
  json spectrum = json::array();
  if (histogram.count() == 0) return spectrum;
  const auto least = 1 / static_cast<double>(histogram.count());
  for (double left = 1; left > least; left *= std::exp2(-0.2)) {
    spectrum.push_back({1 - left, Seconds(histogram.Quantile(1 - left))});
  }
  spectrum.push_back({1.0, Seconds(histogram.max())});
  return spectrum;
}

json WindowOf(const Tally& tally, double begin, double seconds) {
  return {{"t", begin},
          {"seconds", seconds},
          {"rate", static_cast<double>(tally.ok.count()) / seconds},
          {"errors", tally.failed.count()},
          {"mean", Seconds(tally.ok.mean())},
          {"p50", Seconds(tally.ok.Quantile(0.5))},
          {"p90", Seconds(tally.ok.Quantile(0.9))},
          {"p99", Seconds(tally.ok.Quantile(0.99))},
          {"p999", Seconds(tally.ok.Quantile(0.999))},
          {"max", Seconds(tally.ok.max())}};
}

}  // namespace

json FiguresOf(const Tally& tally, double seconds) {
  const int64_t count = tally.ok.count() + tally.failed.count();
  const auto unsent = tally.codes.find({"UNSENT", ""});
  const int64_t num_unsent = unsent == tally.codes.end() ? 0 : unsent->second;
  const auto share = [count](int64_t part) {
    return count == 0 ? 0 : static_cast<double>(part) / count;
  };
  json figures = {
      {"count", count},
      {"offered", count / seconds},
      {"ok", tally.ok.count()},
      {"rate", tally.ok.count() / seconds},
      {"errors", tally.failed.count()},
      {"error_ratio", share(tally.failed.count())},
      {"unexpected", tally.unexpected},
      {"unsent", num_unsent},
      {"achieved", count == 0 ? 0 : 1 - share(num_unsent)},
      {"blocked", tally.blocked},
      {"blocked_ratio", share(tally.blocked)},
      {"mean", Seconds(tally.ok.mean())},
      {"min", Seconds(tally.ok.min())},
      {"max", Seconds(tally.ok.max())},
      {"failed_p50", Seconds(tally.failed.Quantile(0.5))},
      {"failed_p99", Seconds(tally.failed.Quantile(0.99))},
      {"failed_max", Seconds(tally.failed.max())},
      {"sent_bytes_per_second", tally.bytes_sent / seconds},
      {"received_bytes_per_second", tally.bytes_received / seconds},
      {"elements_per_second", tally.elements / seconds},
      {"verified", tally.verified},
      {"wrong", tally.wrong},
      {"resent", tally.resent},
  };
  for (const NamedQuantile& each : kQuantiles) {
    figures[each.name] = Seconds(tally.ok.Quantile(each.q));
  }
  return figures;
}

json WorkloadJson(const WorkloadSpec& spec, const Recorder::Snapshot& counted,
                  double seconds, double window_seconds, bool is_open) {
  Tally total;
  for (const Tally& request : counted.requests) total.Merge(request);
  json figures = FiguresOf(total, seconds);
  figures["lag_p50"] = is_open ? Seconds(counted.lag.Quantile(0.5)) : 0;
  figures["lag_p99"] = is_open ? Seconds(counted.lag.Quantile(0.99)) : 0;
  figures["lag_max"] = is_open ? Seconds(counted.lag.max()) : 0;
  json windows = json::array();
  const auto num_windows =
      static_cast<size_t>(std::floor(seconds / window_seconds + 1e-6));
  for (size_t i = 0; i < num_windows; ++i) {
    windows.push_back(
        WindowOf(i < counted.windows.size() ? counted.windows[i] : Tally(),
                 i * window_seconds, window_seconds));
  }
  json codes = json::array();
  for (const auto& [key, count] : total.codes) {
    codes.push_back(
        {{"code", key.first}, {"reason", key.second}, {"count", count}});
  }
  json requests = json::array();
  for (size_t i = 0; i < counted.requests.size(); ++i) {
    requests.push_back({{"name", spec.requests[i].name},
                        {"figures", FiguresOf(counted.requests[i], seconds)}});
  }
  return {{"name", spec.name},   {"address", spec.address},
          {"figures", figures},  {"codes", codes},
          {"windows", windows},  {"spectrum", SpectrumOf(total.ok)},
          {"requests", requests}};
}

const std::vector<std::string>& FigureNames() {
  static const auto* const names = [] {
    auto* all = new std::vector<std::string>{"lag_p50", "lag_p99", "lag_max"};
    const json figures = FiguresOf(Tally(), 1);
    for (const auto& [name, value] : figures.items()) {
      all->push_back(name);
    }
    std::sort(all->begin(), all->end());
    return all;
  }();
  return *names;
}

}  // namespace actserve
