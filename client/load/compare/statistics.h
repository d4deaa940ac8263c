#ifndef ACTSERVE_CLIENT_LOAD_COMPARE_STATISTICS_H_
#define ACTSERVE_CLIENT_LOAD_COMPARE_STATISTICS_H_

#include <vector>

namespace actserve {

// The chance that samples of one distribution differ as much as these do in
// their sums of ranks, either way: a permutation test with 20,000 drawn
// permutations, the same ones each time.
double RankTest(const std::vector<double>& a, const std::vector<double>& b);

// The range in which the ratio of the median of `b` to that of `a` lies with
// the probability 1 - alpha, by the bootstrap. Both have samples above 0.
struct Interval {
  double low = 0;
  double high = 0;
};
Interval RatioInterval(const std::vector<double>& a,
                       const std::vector<double>& b, double alpha);

// Which of `p_values` are significant if at most a share `alpha` of such lists
// is to have a false one (Holm).
std::vector<bool> Significant(const std::vector<double>& p_values,
                              double alpha);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_COMPARE_STATISTICS_H_
