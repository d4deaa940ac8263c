#include "kernels/base/edit_distance.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace actserve {

int EditDistance(std::string_view a, std::string_view b) {
  const int n = static_cast<int>(b.size());
  std::vector<int> before(n + 1), previous(n + 1), row(n + 1);
  for (int j = 0; j <= n; ++j) previous[j] = j;
  for (int i = 1; i <= static_cast<int>(a.size()); ++i) {
    row[0] = i;
    for (int j = 1; j <= n; ++j) {
      const int replace = previous[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, row);
  }
  return previous[n];
}

}  // namespace actserve
