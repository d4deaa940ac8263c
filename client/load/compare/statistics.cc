#include "client/load/compare/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "client/load/schedule/seeded_random.h"
#include "kernels/base/quantile.h"

namespace actserve {
namespace {

constexpr int kDraws = 20'000;
constexpr int kBootstraps = 5'000;

// Equal values share the mean of their ranks.
std::vector<double> RanksOf(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) {
      ++end;
    }
    for (size_t i = begin; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    }
    begin = end;
  }
  return ranks;
}

size_t Below(SeededRandom& random, size_t count) {
  return static_cast<size_t>(random.Uniform() * static_cast<double>(count));
}

}  // namespace

double RankTest(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::vector<double> ranks = RanksOf(all);
  const double expected = a.size() * (static_cast<double>(all.size()) - 1) / 2;
  const auto distance = [&] {
    return std::abs(
        std::accumulate(ranks.begin(), ranks.begin() + a.size(), -expected));
  };
  const double observed = distance();
  SeededRandom random(1, /*stream=*/4);
  int as_far = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (size_t i = 0; i < a.size(); ++i) {
      std::swap(ranks[i], ranks[i + Below(random, ranks.size() - i)]);
    }
    as_far += distance() >= observed - 1e-9 ? 1 : 0;
  }
  return (as_far + 1.0) / (kDraws + 1.0);
}

Interval RatioInterval(const std::vector<double>& a,
                       const std::vector<double>& b, double alpha) {
  SeededRandom random(1, /*stream=*/5);
  const auto median = [&random](const std::vector<double>& values) {
    std::vector<double> drawn(values.size());
    for (double& each : drawn) each = values[Below(random, values.size())];
    return Median(std::move(drawn));
  };
  std::vector<double> ratios;
  for (int i = 0; i < kBootstraps; ++i) {
    const double before = median(a);
    ratios.push_back(median(b) / before);
  }
  return {Quantile(ratios, alpha / 2), Quantile(ratios, 1 - alpha / 2)};
}

std::vector<bool> Significant(const std::vector<double>& p_values,
                              double alpha) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t i, size_t j) { return p_values[i] < p_values[j]; });
  std::vector<bool> significant(p_values.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (p_values[order[i]] > alpha / static_cast<double>(order.size() - i)) {
      break;
    }
    significant[order[i]] = true;
  }
  return significant;
}

}  // namespace actserve
