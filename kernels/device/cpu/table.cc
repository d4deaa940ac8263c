// Gathers against scalar loads, G elements/s of bfloat16 on one core of a
// Sapphire Rapids: 6.0 against 4.7 where inputs are normally distributed, 3.4
// against 3.2 on random bits; with a derivative 4.5 against 2.2.

#include "kernels/device/cpu/table.h"

#include <algorithm>
#include <cstring>

#include "kernels/math/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace actserve {
namespace {

[[gnu::always_inline]] inline uint16_t Load16(const void* from, int64_t i) {
  uint16_t bits;
  std::memcpy(&bits, static_cast<const char*>(from) + 2 * i, sizeof(bits));
  return bits;
}

[[gnu::always_inline]] inline void Store16(void* to, int64_t i, uint16_t bits) {
  std::memcpy(static_cast<char*>(to) + 2 * i, &bits, sizeof(bits));
}

template <DType kStorage>
[[gnu::always_inline]] inline float Widen(uint16_t bits) {
  return kStorage == DType::kBFloat16 ? actserve_bf16_bits_to_f32(bits)
                                      : actserve_f16_bits_to_f32(bits);
}

template <DType kStorage>
[[gnu::always_inline]] inline uint16_t Round(float value) {
  return kStorage == DType::kBFloat16 ? actserve_f32_to_bf16_bits(value)
                                      : actserve_f32_to_f16_bits(value);
}

template <DType kStorage>
[[gnu::always_inline]] inline void Multiply(const float* derivatives,
                                            const void* upstream,
                                            int64_t num_elements, void* to) {
  for (int64_t i = 0; i < num_elements; ++i) {
    Store16(
        to, i,
        Round<kStorage>(Widen<kStorage>(Load16(upstream, i)) * derivatives[i]));
  }
}

#if defined(__x86_64__)
#define ACTSERVE_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq")]]

bool HasAvx512() {
  static const bool has =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has;
}

constexpr int64_t kLanes = 32;  // 16-bit elements in a vector

template <bool kNonTemporal>
ACTSERVE_AVX512 inline void StoreLanes(void* to, __m512i lanes) {
  if constexpr (kNonTemporal) {
    _mm512_stream_si512(static_cast<__m512i*>(to), lanes);
  } else {
    _mm512_storeu_si512(to, lanes);
  }
}

// Where memory is the limit, the long gathers leave the processor too little
// room to look ahead: 0.44 G elements/s without prefetching, 1.0 (like a copy)
// with it.
template <bool kNonTemporal>
ACTSERVE_AVX512 inline void Prefetch(const char* from) {
  if constexpr (kNonTemporal) {
    constexpr int64_t kAheadBytes = 4096;
    _mm_prefetch(from + kAheadBytes, _MM_HINT_T1);
  }
}

// Even elements are the low halves of 32-bit lanes, odd ones the high halves.
ACTSERVE_AVX512 inline __m512i Even(__m512i lanes) {
  return _mm512_and_si512(lanes, _mm512_set1_epi32(0xffff));
}
ACTSERVE_AVX512 inline __m512i Odd(__m512i lanes) {
  return _mm512_srli_epi32(lanes, 16);
}

template <bool kNonTemporal>
ACTSERVE_AVX512 void ApplyTableAvx512(const uint16_t* table, const char* from,
                                      int64_t num_elements, char* to) {
  int64_t i = 0;
  for (; i + kLanes <= num_elements; i += kLanes) {
    Prefetch<kNonTemporal>(from + 2 * i);
    const __m512i index = _mm512_loadu_si512(from + 2 * i);
    const __m512i even = _mm512_i32gather_epi32(Even(index), table, 2);
    const __m512i odd = _mm512_i32gather_epi32(Odd(index), table, 2);
    StoreLanes<kNonTemporal>(
        to + 2 * i,
        _mm512_mask_blend_epi16(0xaaaaaaaa, even, _mm512_slli_epi32(odd, 16)));
  }
  internal::ApplyTablePortable(table, from + 2 * i, num_elements - i,
                               to + 2 * i);
}

// Rounded to nearest even in the upper half of each lane.
ACTSERVE_AVX512 inline __m512i RoundUpperHalf(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd =
      _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  return _mm512_mask_mov_epi32(rounded,
                               _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q),
                               _mm512_set1_epi32(0x7fc00000));
}

ACTSERVE_AVX512 inline __m512i DerivativeBFloat16(const float* table,
                                                  __m512i index,
                                                  __m512i upstream) {
  const __m512 even =
      _mm512_mul_ps(_mm512_i32gather_ps(Even(index), table, 4),
                    _mm512_castsi512_ps(_mm512_slli_epi32(upstream, 16)));
  const __m512 odd = _mm512_mul_ps(
      _mm512_i32gather_ps(Odd(index), table, 4),
      _mm512_castsi512_ps(_mm512_and_si512(
          upstream, _mm512_set1_epi32(static_cast<int>(0xffff0000)))));
  return _mm512_mask_blend_epi16(0xaaaaaaaa,
                                 _mm512_srli_epi32(RoundUpperHalf(even), 16),
                                 RoundUpperHalf(odd));
}

ACTSERVE_AVX512 inline __m256i DerivativeFloat16Half(const float* table,
                                                     __m256i index,
                                                     __m256i upstream) {
  return _mm512_cvtps_ph(
      _mm512_mul_ps(_mm512_i32gather_ps(_mm512_cvtepu16_epi32(index), table, 4),
                    _mm512_cvtph_ps(upstream)),
      _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

ACTSERVE_AVX512 inline __m512i DerivativeFloat16(const float* table,
                                                 __m512i index,
                                                 __m512i upstream) {
  const __m256i low = DerivativeFloat16Half(
      table, _mm512_castsi512_si256(index), _mm512_castsi512_si256(upstream));
  const __m256i high =
      DerivativeFloat16Half(table, _mm512_extracti64x4_epi64(index, 1),
                            _mm512_extracti64x4_epi64(upstream, 1));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

template <DType kStorage, bool kNonTemporal>
ACTSERVE_AVX512 void ApplyDerivativeTableAvx512(const float* table,
                                                const char* from,
                                                const char* upstream,
                                                int64_t num_elements,
                                                char* to) {
  int64_t i = 0;
  for (; i + kLanes <= num_elements; i += kLanes) {
    Prefetch<kNonTemporal>(from + 2 * i);
    Prefetch<kNonTemporal>(upstream + 2 * i);
    const __m512i index = _mm512_loadu_si512(from + 2 * i);
    const __m512i dy = _mm512_loadu_si512(upstream + 2 * i);
    if constexpr (kStorage == DType::kBFloat16) {
      StoreLanes<kNonTemporal>(to + 2 * i,
                               DerivativeBFloat16(table, index, dy));
    } else {
      StoreLanes<kNonTemporal>(to + 2 * i, DerivativeFloat16(table, index, dy));
    }
  }
  internal::ApplyDerivativeTablePortable(table, kStorage, from + 2 * i,
                                         upstream + 2 * i, num_elements - i,
                                         to + 2 * i);
}

template <DType kStorage>
[[gnu::target("avx2")]] void MultiplyAvx2(const float* derivatives,
                                          const void* upstream,
                                          int64_t num_elements, void* to) {
  Multiply<kStorage>(derivatives, upstream, num_elements, to);
}
#endif

template <DType kStorage>
void MultiplyBest(const float* derivatives, const void* upstream,
                  int64_t num_elements, void* to) {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
  if (has_avx2) {
    MultiplyAvx2<kStorage>(derivatives, upstream, num_elements, to);
    return;
  }
#endif
  Multiply<kStorage>(derivatives, upstream, num_elements, to);
}

}  // namespace

void ApplyDerivatives(const float* derivatives, DType storage,
                      const void* upstream, int64_t num_elements, void* to) {
  (storage == DType::kBFloat16
       ? MultiplyBest<DType::kBFloat16>
       : MultiplyBest<DType::kFloat16>)(derivatives, upstream, num_elements,
                                        to);
}

void internal::ApplyTablePortable(const uint16_t* table, const void* from,
                                  int64_t num_elements, void* to) {
  for (int64_t i = 0; i < num_elements; ++i) {
    Store16(to, i, table[Load16(from, i)]);
  }
}

void internal::ApplyDerivativeTablePortable(const float* table, DType storage,
                                            const void* from,
                                            const void* upstream,
                                            int64_t num_elements, void* to) {
  // A block at a time, so that the arithmetic after the lookup is vectorized.
  constexpr int64_t kBlock = 64;
  float derivatives[kBlock];
  for (int64_t begin = 0; begin < num_elements; begin += kBlock) {
    const int64_t count = std::min(kBlock, num_elements - begin);
    for (int64_t i = 0; i < count; ++i) {
      derivatives[i] = table[Load16(from, begin + i)];
    }
    ApplyDerivatives(derivatives, storage,
                     static_cast<const char*>(upstream) + 2 * begin, count,
                     static_cast<char*>(to) + 2 * begin);
  }
}

void ApplyTable(const uint16_t* table, const void* from, int64_t num_elements,
                bool non_temporal, void* to) {
#if defined(__x86_64__)
  if (HasAvx512()) {
    (non_temporal
         ? ApplyTableAvx512<true>
         : ApplyTableAvx512<false>)(table, static_cast<const char*>(from),
                                    num_elements, static_cast<char*>(to));
    return;
  }
#endif
  internal::ApplyTablePortable(table, from, num_elements, to);
}

void ApplyDerivativeTable(const float* table, DType storage, const void* from,
                          const void* upstream, int64_t num_elements,
                          bool non_temporal, void* to) {
#if defined(__x86_64__)
  if (HasAvx512()) {
    constexpr DType kBF16 = DType::kBFloat16;
    constexpr DType kF16 = DType::kFloat16;
    auto* apply =
        storage == kBF16
            ? (non_temporal ? ApplyDerivativeTableAvx512<kBF16, true>
                            : ApplyDerivativeTableAvx512<kBF16, false>)
            : (non_temporal ? ApplyDerivativeTableAvx512<kF16, true>
                            : ApplyDerivativeTableAvx512<kF16, false>);
    apply(table, static_cast<const char*>(from),
          static_cast<const char*>(upstream), num_elements,
          static_cast<char*>(to));
    return;
  }
#endif
  internal::ApplyDerivativeTablePortable(table, storage, from, upstream,
                                         num_elements, to);
}

}  // namespace actserve
