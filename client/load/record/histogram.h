#ifndef ACTSERVE_CLIENT_LOAD_RECORD_HISTOGRAM_H_
#define ACTSERVE_CLIENT_LOAD_RECORD_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace actserve {

// Counts times, as an HDR histogram does: each to within 0.05 %, so to 3
// digits, from 1 us (and below, to the nanosecond) to a minute. Longer ones
// count as a minute, except in max().
//
// Not thread-safe.
class Histogram {
 public:
  static constexpr int64_t kMaxNanos = 60'000'000'000;

  // Negative times count as 0.
  void Add(int64_t nanos);
  void Merge(const Histogram& other);

  int64_t count() const { return count_; }
  // The four below are 0 if there are no times.
  int64_t min() const { return count_ == 0 ? 0 : min_; }
  int64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / count_; }
  // The smallest time that a share `q` of all, 0 to 1, does not exceed.
  int64_t Quantile(double q) const;

  // The counts that are not 0, by ascending time.
  struct Bucket {
    int64_t nanos;
    int64_t count;
  };
  std::vector<Bucket> Buckets() const;

 private:
  std::vector<uint32_t> counts_;  // empty until the first Add()
  int64_t count_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RECORD_HISTOGRAM_H_
