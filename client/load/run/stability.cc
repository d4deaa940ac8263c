#include "client/load/run/stability.h"

#include <algorithm>
#include <cstddef>

namespace actserve {

bool IsStable(const std::vector<WindowFigures>& windows,
              const StabilityRule& rule) {
  const auto last = static_cast<size_t>(rule.windows);
  if (windows.size() < last) return false;
  for (double WindowFigures::* const figure :
       {&WindowFigures::rate, &WindowFigures::mean_latency}) {
    double least = windows.back().*figure;
    double most = least;
    for (size_t i = windows.size() - last; i < windows.size(); ++i) {
      least = std::min(least, windows[i].*figure);
      most = std::max(most, windows[i].*figure);
    }
    if (least <= 0 || most > least * (1 + rule.change)) return false;
  }
  return true;
}

}  // namespace actserve
