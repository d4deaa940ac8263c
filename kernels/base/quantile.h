#ifndef ACTSERVE_KERNELS_BASE_QUANTILE_H_
#define ACTSERVE_KERNELS_BASE_QUANTILE_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace actserve {

// Returns the value that a share `q` of `values` is below; 0 if there are none.
inline double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const size_t index =
      std::min(static_cast<size_t>(values.size() * q), values.size() - 1);
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[index];
}

inline double Median(std::vector<double> values) {
  return Quantile(std::move(values), 0.5);
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_QUANTILE_H_
