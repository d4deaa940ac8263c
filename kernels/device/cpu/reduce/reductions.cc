#include "kernels/device/cpu/reduce/reductions.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "kernels/graph/summation.h"
#include "kernels/math/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace actserve {
namespace {

// How one type lies in memory, and what its numbers become.
struct Float32 {
  using Bits = uint32_t;
  using Number = float;
  static float ToNumber(Bits bits) { return __builtin_bit_cast(float, bits); }
};
struct Float64 {
  using Bits = uint64_t;
  using Number = double;
  static double ToNumber(Bits bits) { return __builtin_bit_cast(double, bits); }
};
struct BFloat16 {
  using Bits = uint16_t;
  using Number = float;
  static float ToNumber(Bits bits) { return actserve_bf16_bits_to_f32(bits); }
};
struct Float16 {
  using Bits = uint16_t;
  using Number = float;
  static float ToNumber(Bits bits) { return actserve_f16_bits_to_f32(bits); }
};

template <typename Type>
[[gnu::always_inline]] inline typename Type::Number NumberAt(
    const std::byte* data, size_t index) {
  typename Type::Bits bits;
  std::memcpy(&bits, data + index * sizeof(bits), sizeof(bits));
  return Type::ToNumber(bits);
}

// --- Any processor: loops that the compiler vectorizes.

template <typename Type>
[[gnu::always_inline]] inline double Sum(const std::byte* data, size_t size) {
  // The lanes that are left out are +0, and a sum with them changes nothing.
  size_t num_lanes = kSumLanes;
  while (num_lanes > 8 && num_lanes / 2 >= size) num_lanes /= 2;
  alignas(64) double lanes[kSumLanes] = {};
  size_t i = 0;
  for (; i + kSumLanes <= size; i += kSumLanes) {
    for (size_t j = 0; j < kSumLanes; ++j) {
      lanes[j] += static_cast<double>(NumberAt<Type>(data, i + j));
    }
  }
  for (size_t j = 0; i + j < size; ++j) {
    lanes[j] += static_cast<double>(NumberAt<Type>(data, i + j));
  }
  for (size_t stride = num_lanes / 2; stride > 0; stride /= 2) {
    for (size_t j = 0; j < stride; ++j) lanes[j] += lanes[j + stride];
  }
  return lanes[0];
}

template <typename T>
[[gnu::always_inline]] inline T LargerOrNaN(T a, T b) {
  return a < b || b != b ? b : a;
}

template <typename Type>
[[gnu::always_inline]] inline typename Type::Number Max(const std::byte* data,
                                                        size_t size) {
  using Number = typename Type::Number;
  // As many as fill some registers.
  constexpr size_t kLanes = 64;
  Number max = NumberAt<Type>(data, 0);
  size_t i = 0;
  if (size >= kLanes) {
    alignas(64) Number lanes[kLanes];
    std::fill_n(lanes, kLanes, max);
    for (; i + kLanes <= size; i += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) {
        lanes[j] = LargerOrNaN(lanes[j], NumberAt<Type>(data, i + j));
      }
    }
    for (const Number lane : lanes) max = LargerOrNaN(max, lane);
  }
  for (; i < size; ++i) max = LargerOrNaN(max, NumberAt<Type>(data, i));
  return max;
}

template <typename T>
[[gnu::always_inline]] inline void Spread(const T* numbers, int64_t size,
                                          int64_t num_runs, T* to) {
  for (int64_t r = 0; r < num_runs; ++r, to += size) {
    const T number = numbers[r];
    // What lands in the next run is overwritten there.
    for (int64_t i = 0; i < size; i += kSpreadPadding) {
      for (int64_t j = 0; j < kSpreadPadding; ++j) to[i + j] = number;
    }
  }
}

template <typename T>
void SpreadPortable(const T* numbers, int64_t size, int64_t num_runs, T* to) {
  Spread(numbers, size, num_runs, to);
}

template <typename Type>
struct Portable {
  static void Sums(const std::byte* data, size_t size, size_t num_runs,
                   double* sums) {
    for (size_t r = 0; r < num_runs; ++r) {
      sums[r] = Sum<Type>(data + r * size * sizeof(typename Type::Bits), size);
    }
  }
  static void Maxima(const std::byte* data, size_t size, size_t num_runs,
                     typename Type::Number* maxima) {
    for (size_t r = 0; r < num_runs; ++r) {
      maxima[r] =
          Max<Type>(data + r * size * sizeof(typename Type::Bits), size);
    }
  }
};

#if defined(__x86_64__)

template <typename T>
[[gnu::target("avx2")]] void SpreadAvx2(const T* numbers, int64_t size,
                                        int64_t num_runs, T* to) {
  Spread(numbers, size, num_runs, to);
}

template <typename Type>
struct Avx2 {
  [[gnu::target("avx2,f16c")]] static void Sums(const std::byte* data,
                                                size_t size, size_t num_runs,
                                                double* sums) {
    for (size_t r = 0; r < num_runs; ++r) {
      sums[r] = Sum<Type>(data + r * size * sizeof(typename Type::Bits), size);
    }
  }
  [[gnu::target("avx2,f16c")]] static void Maxima(
      const std::byte* data, size_t size, size_t num_runs,
      typename Type::Number* maxima) {
    for (size_t r = 0; r < num_runs; ++r) {
      maxima[r] =
          Max<Type>(data + r * size * sizeof(typename Type::Bits), size);
    }
  }
};

// --- AVX-512: all lanes of a sum stay in registers, and what is left of a run
// is loaded under a mask.

#define ACTSERVE_AVX512                            \
  [[gnu::target("avx512f,avx512bw,avx512vl,f16c"), \
    gnu::always_inline]] static inline

// Numbers `first` and the seven that follow, as far as `mask` says; the others
// are +0.
template <typename Type>
struct Eight;

template <>
struct Eight<Float32> {
  ACTSERVE_AVX512 __m512d Load(const std::byte* at, __mmask8 mask) {
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, at));
  }
};
template <>
struct Eight<Float64> {
  ACTSERVE_AVX512 __m512d Load(const std::byte* at, __mmask8 mask) {
    return _mm512_maskz_loadu_pd(mask, at);
  }
};
template <>
struct Eight<BFloat16> {
  ACTSERVE_AVX512 __m512d Load(const std::byte* at, __mmask8 mask) {
    // By one shuffle: each number behind two bytes of zero.
    const __m256i bits =
        _mm256_broadcastsi128_si256(_mm_maskz_loadu_epi16(mask, at));
    const __m256i upper = _mm256_setr_epi8(
        -1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7,  //
        -1, -1, 8, 9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
    return _mm512_cvtps_pd(
        _mm256_castsi256_ps(_mm256_shuffle_epi8(bits, upper)));
  }
};
template <>
struct Eight<Float16> {
  ACTSERVE_AVX512 __m512d Load(const std::byte* at, __mmask8 mask) {
    return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_maskz_loadu_epi16(mask, at)));
  }
};

// As many numbers as fill a register, as far as `mask` says; the others are
// -inf.
template <typename Type>
struct Full {
  static constexpr size_t kSize = 16;
  using Register = __m512;
  using Mask = __mmask16;
  ACTSERVE_AVX512 __m512 None() {
    return _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  }
  ACTSERVE_AVX512 __m512 Load(const std::byte* at, __mmask16 mask) {
    if constexpr (std::is_same_v<Type, Float32>) {
      return _mm512_mask_loadu_ps(None(), mask, at);
    } else {
      const __m256i bits = _mm256_maskz_loadu_epi16(mask, at);
      const __m512 numbers = std::is_same_v<Type, Float16>
                                 ? _mm512_cvtph_ps(bits)
                                 : _mm512_castsi512_ps(_mm512_slli_epi32(
                                       _mm512_cvtepu16_epi32(bits), 16));
      return _mm512_mask_mov_ps(None(), mask, numbers);
    }
  }
  ACTSERVE_AVX512 __m512 Larger(__m512 a, __m512 b) {
    return _mm512_max_ps(a, b);
  }
  ACTSERVE_AVX512 __mmask16 HasNaN(__m512 a, __m512 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
  }
  ACTSERVE_AVX512 float Largest(__m512 a) { return _mm512_reduce_max_ps(a); }
};
template <>
struct Full<Float64> {
  static constexpr size_t kSize = 8;
  using Register = __m512d;
  using Mask = __mmask8;
  ACTSERVE_AVX512 __m512d None() {
    return _mm512_set1_pd(-std::numeric_limits<double>::infinity());
  }
  ACTSERVE_AVX512 __m512d Load(const std::byte* at, __mmask8 mask) {
    return _mm512_mask_loadu_pd(None(), mask, at);
  }
  ACTSERVE_AVX512 __m512d Larger(__m512d a, __m512d b) {
    return _mm512_max_pd(a, b);
  }
  ACTSERVE_AVX512 __mmask8 HasNaN(__m512d a, __m512d b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q);
  }
  ACTSERVE_AVX512 double Largest(__m512d a) { return _mm512_reduce_max_pd(a); }
};

template <typename Type>
struct Avx512 {
  using Number = typename Type::Number;
  static constexpr size_t kItem = sizeof(typename Type::Bits);

  // a + b by a multiplication with one: of a processor whose adders also
  // convert, such as a Zen 4, the multipliers have nothing else to do.
  ACTSERVE_AVX512 __m512d Add(__m512d a, __m512d b) {
    return _mm512_fmadd_pd(b, _mm512_set1_pd(1), a);
  }

  // Step 3 down to eight lanes. With a loop over strides the compiler would
  // keep all lanes in memory, and store each of them after each addition.
  template <size_t kVectors>
  ACTSERVE_AVX512 __m512d Halved(__m512d (&lanes)[kVectors]) {
    if constexpr (kVectors == 1) {
      return lanes[0];
    } else {
      __m512d half[kVectors / 2];
#pragma GCC unroll 8
      for (size_t k = 0; k < kVectors / 2; ++k) {
        half[k] = _mm512_add_pd(lanes[k], lanes[k + kVectors / 2]);
      }
      return Halved<kVectors / 2>(half);
    }
  }

  // Steps 2 and 3 with so many vectors of eight lanes; the others are +0.
  template <size_t kVectors>
  ACTSERVE_AVX512 double SumIn(const std::byte* data, size_t size) {
    __m512d lanes[kVectors];
#pragma GCC unroll 16
    for (size_t k = 0; k < kVectors; ++k) lanes[k] = _mm512_setzero_pd();
    size_t i = 0;
    for (; i + 8 * kVectors <= size; i += 8 * kVectors) {
#pragma GCC unroll 16
      for (size_t k = 0; k < kVectors; ++k) {
        const std::byte* at = data + (i + 8 * k) * kItem;
        lanes[k] = Add(lanes[k], Eight<Type>::Load(at, 0xff));
      }
    }
    if (i < size) {
#pragma GCC unroll 16
      for (size_t k = 0; k < kVectors; ++k) {
        const std::byte* at = data + (i + 8 * k) * kItem;
        const size_t left = size - std::min(size, i + 8 * k);
        const auto mask =
            static_cast<__mmask8>((1u << std::min<size_t>(left, 8)) - 1);
        lanes[k] = _mm512_add_pd(lanes[k], Eight<Type>::Load(at, mask));
      }
    }
    const __m512d eight = Halved<kVectors>(lanes);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight),
                                       _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
                                   _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }

  [[gnu::target("avx512f,avx512bw,avx512vl,f16c")]] static void Sums(
      const std::byte* data, size_t size, size_t num_runs, double* sums) {
    for (size_t r = 0; r < num_runs; ++r, data += size * kItem) {
      if (size <= 8) {
        sums[r] = SumIn<1>(data, size);
      } else if (size <= 32) {
        sums[r] = SumIn<4>(data, size);
      } else if (size <= 64) {
        sums[r] = SumIn<8>(data, size);
      } else {
        sums[r] = SumIn<16>(data, size);
      }
    }
  }

  [[gnu::target("avx512f,avx512bw,avx512vl,f16c")]] static void Maxima(
      const std::byte* data, size_t size, size_t num_runs, Number* maxima) {
    using V = Full<Type>;
    constexpr auto kAll = static_cast<typename V::Mask>(-1);
    for (size_t r = 0; r < num_runs; ++r, data += size * kItem) {
      typename V::Register a = V::None(), b = a;
      unsigned has_nan = 0;
      size_t i = 0;
      for (; i + 2 * V::kSize <= size; i += 2 * V::kSize) {
        const auto first = V::Load(data + i * kItem, kAll);
        const auto second = V::Load(data + (i + V::kSize) * kItem, kAll);
        has_nan |= V::HasNaN(first, second);
        a = V::Larger(a, first);
        b = V::Larger(b, second);
      }
      for (; i < size; i += V::kSize) {
        const size_t left = std::min(size - i, V::kSize);
        const auto rest = V::Load(
            data + i * kItem, static_cast<typename V::Mask>((1u << left) - 1));
        has_nan |= V::HasNaN(rest, rest);
        a = V::Larger(a, rest);
      }
      maxima[r] = has_nan != 0 ? std::numeric_limits<Number>::quiet_NaN()
                               : V::Largest(V::Larger(a, b));
    }
  }
};

#undef ACTSERVE_AVX512

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

#endif

template <typename Type>
struct Best {
  void (*sums)(const std::byte*, size_t, size_t,
               double*) = Portable<Type>::Sums;
  void (*maxima)(const std::byte*, size_t, size_t,
                 typename Type::Number*) = Portable<Type>::Maxima;

  Best() {
#if defined(__x86_64__)
    if (HasAvx512()) {
      sums = Avx512<Type>::Sums;
      maxima = Avx512<Type>::Maxima;
    } else if (HasAvx2()) {
      sums = Avx2<Type>::Sums;
      maxima = Avx2<Type>::Maxima;
    }
#endif
  }
  static const Best& Get() {
    static const Best best;
    return best;
  }
};

template <typename T>
auto BestSpread() {
#if defined(__x86_64__)
  if (HasAvx2()) return &SpreadAvx2<T>;
#endif
  return &SpreadPortable<T>;
}

}  // namespace

void SumRuns(const void* data, DType dtype, int64_t size, int64_t num_runs,
             double* sums) {
  const auto sum = [&]<typename Type>(const Best<Type>& best) {
    best.sums(static_cast<const std::byte*>(data), size, num_runs, sums);
  };
  switch (dtype) {
    case DType::kFloat16:
      return sum(Best<Float16>::Get());
    case DType::kBFloat16:
      return sum(Best<BFloat16>::Get());
    case DType::kFloat32:
      return sum(Best<Float32>::Get());
    case DType::kFloat64:
      return sum(Best<Float64>::Get());
  }
}

template <>
void MaxOfRuns<float>(const void* data, DType dtype, int64_t size,
                      int64_t num_runs, float* maxima) {
  const auto max = [&]<typename Type>(const Best<Type>& best) {
    best.maxima(static_cast<const std::byte*>(data), size, num_runs, maxima);
  };
  if (dtype == DType::kFloat16) return max(Best<Float16>::Get());
  if (dtype == DType::kBFloat16) return max(Best<BFloat16>::Get());
  max(Best<Float32>::Get());
}

template <>
void MaxOfRuns<double>(const void* data, DType, int64_t size, int64_t num_runs,
                       double* maxima) {
  Best<Float64>::Get().maxima(static_cast<const std::byte*>(data), size,
                              num_runs, maxima);
}

template <typename T>
void SpreadOverRuns(const T* numbers, int64_t size, int64_t num_runs, T* to) {
  static const auto spread = BestSpread<T>();
  spread(numbers, size, num_runs, to);
}

template void SpreadOverRuns(const float*, int64_t, int64_t, float*);
template void SpreadOverRuns(const double*, int64_t, int64_t, double*);

}  // namespace actserve
