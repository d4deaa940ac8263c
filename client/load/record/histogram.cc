#include "client/load/record/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace actserve {
namespace {

// Times below 2^11 have a counter each; from there on each power of two has
// 2^10 counters.
constexpr int kLinearBits = 11;
constexpr int kHalf = 1 << (kLinearBits - 1);

size_t IndexOf(int64_t nanos) {
  const int width = std::bit_width(static_cast<uint64_t>(nanos));
  const int shift = std::max(0, width - kLinearBits);
  return static_cast<size_t>(shift) * kHalf +
         static_cast<size_t>(nanos >> shift);
}

// The middle of a counter's times.
int64_t NanosAt(size_t index) {
  if (index < 2 * kHalf) return static_cast<int64_t>(index);
  const int shift = static_cast<int>(index / kHalf) - 1;
  const int64_t first = static_cast<int64_t>(index % kHalf + kHalf) << shift;
  return first + ((int64_t{1} << shift) >> 1);
}

}  // namespace

void Histogram::Add(int64_t nanos) {
  nanos = std::max<int64_t>(nanos, 0);
  if (counts_.empty()) counts_.resize(IndexOf(kMaxNanos) + 1);
  ++counts_[IndexOf(std::min(nanos, kMaxNanos))];
  min_ = count_ == 0 ? nanos : std::min(min_, nanos);
  max_ = std::max(max_, nanos);
  sum_ += static_cast<double>(nanos);
  ++count_;
}

void Histogram::Merge(const Histogram& other) {
  if (other.count_ == 0) return;
  if (counts_.empty()) counts_.resize(IndexOf(kMaxNanos) + 1);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

int64_t Histogram::Quantile(double q) const {
  const auto rank = std::clamp<int64_t>(
      static_cast<int64_t>(std::ceil(q * static_cast<double>(count_))), 1,
      std::max<int64_t>(count_, 1));
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) {
      return seen == count_ && rank == count_
                 ? max_
                 : std::clamp(NanosAt(i), min_, max_);
    }
  }
  return 0;
}

std::vector<Histogram::Bucket> Histogram::Buckets() const {
  std::vector<Bucket> buckets;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] != 0) buckets.push_back({NanosAt(i), counts_[i]});
  }
  return buckets;
}

}  // namespace actserve
