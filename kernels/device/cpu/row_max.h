#ifndef ACTSERVE_KERNELS_DEVICE_CPU_ROW_MAX_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_ROW_MAX_H_

#include <cstddef>
#include <limits>

namespace actserve {

// The larger of two, NaN if one is NaN. In any order of many numbers the result
// is the same but for the sign of a zero.
template <typename T>
T LargerOrNaN(T a, T b) {
  return a < b || b != b ? b : a;
}

// -inf of no number.
template <typename T>
T MaxOrNaN(const T* numbers, size_t count) {
  // As many as fill some registers.
  constexpr size_t kLanes = 64;
  T lanes[kLanes];
  for (T& lane : lanes) lane = -std::numeric_limits<T>::infinity();
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      lanes[j] = LargerOrNaN(lanes[j], numbers[i + j]);
    }
  }
  T max = -std::numeric_limits<T>::infinity();
  if (i > 0) {
    for (const T lane : lanes) max = LargerOrNaN(max, lane);
  }
  for (; i < count; ++i) max = LargerOrNaN(max, numbers[i]);
  return max;
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_ROW_MAX_H_
