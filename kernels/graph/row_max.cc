#include "kernels/graph/row_max.h"

#include <cstddef>
#include <limits>

namespace actserve {
namespace {

template <typename T>
[[gnu::always_inline]] inline T LargerOrNaN(T a, T b) {
  return a < b || b != b ? b : a;
}

// Inlined into one function per instruction set.
template <typename T>
[[gnu::always_inline]] inline T MaxOfLanes(const T* numbers, size_t count) {
  // As many as fill some registers.
  constexpr size_t kLanes = 64;
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T max = kNone;
  size_t i = 0;
  if (count >= kLanes) {
    alignas(64) T lanes[kLanes];
    for (T& lane : lanes) lane = kNone;
    for (; i + kLanes <= count; i += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) {
        lanes[j] = LargerOrNaN(lanes[j], numbers[i + j]);
      }
    }
    for (size_t stride = kLanes / 2; stride > 0; stride /= 2) {
      for (size_t j = 0; j < stride; ++j) {
        lanes[j] = LargerOrNaN(lanes[j], lanes[j + stride]);
      }
    }
    max = lanes[0];
  }
  for (; i < count; ++i) max = LargerOrNaN(max, numbers[i]);
  return max;
}

template <typename T>
T MaxPortable(const T* numbers, size_t count) {
  return MaxOfLanes(numbers, count);
}

#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx512f,avx512vl,prefer-vector-width=512")]] T MaxAvx512(
    const T* numbers, size_t count) {
  return MaxOfLanes(numbers, count);
}

template <typename T>
[[gnu::target("avx2")]] T MaxAvx2(const T* numbers, size_t count) {
  return MaxOfLanes(numbers, count);
}
#endif

template <typename T>
using MaxFunction = T (*)(const T*, size_t);

template <typename T>
MaxFunction<T> BestMax() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vl")) return &MaxAvx512<T>;
  if (__builtin_cpu_supports("avx2")) return &MaxAvx2<T>;
#endif
  return &MaxPortable<T>;
}

}  // namespace

float MaxOrNaN(absl::Span<const float> numbers) {
  static const MaxFunction<float> max = BestMax<float>();
  return max(numbers.data(), numbers.size());
}

double MaxOrNaN(absl::Span<const double> numbers) {
  static const MaxFunction<double> max = BestMax<double>();
  return max(numbers.data(), numbers.size());
}

}  // namespace actserve
