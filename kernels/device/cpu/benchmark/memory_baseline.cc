#include "kernels/device/cpu/benchmark/memory_baseline.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace actserve {
namespace {

// A vector of each width that streaming stores come in.
#if defined(__x86_64__)
bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }

constexpr size_t kUnroll = 4;

[[gnu::target("avx512f")]] void CopyNonTemporal512(const char* from,
                                                   size_t size_bytes,
                                                   char* to) {
  for (size_t at = 0; at < size_bytes; at += 64 * kUnroll) {
    for (size_t u = 0; u < kUnroll; ++u) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + 64 * u),
                          _mm512_loadu_si512(from + at + 64 * u));
    }
  }
}

[[gnu::target("avx512f")]] void TriadPlain512(const char* a, const char* b,
                                              size_t size_bytes, char* to) {
  for (size_t at = 0; at < size_bytes; at += 64 * kUnroll) {
    for (size_t u = 0; u < kUnroll; ++u) {
      _mm512_storeu_si512(
          to + at + 64 * u,
          _mm512_add_epi32(_mm512_loadu_si512(a + at + 64 * u),
                           _mm512_loadu_si512(b + at + 64 * u)));
    }
  }
}

[[gnu::target("avx512f")]] void TriadNonTemporal512(const char* a,
                                                    const char* b,
                                                    size_t size_bytes,
                                                    char* to) {
  for (size_t at = 0; at < size_bytes; at += 64 * kUnroll) {
    for (size_t u = 0; u < kUnroll; ++u) {
      _mm512_stream_si512(
          reinterpret_cast<__m512i*>(to + at + 64 * u),
          _mm512_add_epi32(_mm512_loadu_si512(a + at + 64 * u),
                           _mm512_loadu_si512(b + at + 64 * u)));
    }
  }
}

__m128i Load128(const char* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
#endif

}  // namespace

void CopyPlain(const void* from, size_t size_bytes, void* to) {
  std::memcpy(to, from, size_bytes);
  // Keeps the copy from being taken for dead.
  asm volatile("" : : "r"(to) : "memory");
}

void CopyNonTemporal(const void* from, size_t size_bytes, void* to) {
#if defined(__x86_64__)
  const char* source = static_cast<const char*>(from);
  char* target = static_cast<char*>(to);
  if (HasAvx512()) {
    CopyNonTemporal512(source, size_bytes, target);
  } else {
    for (size_t at = 0; at < size_bytes; at += 16) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(target + at),
                       Load128(source + at));
    }
  }
  _mm_sfence();
#else
  CopyPlain(from, size_bytes, to);
#endif
}

void TriadPlain(const void* a, const void* b, size_t size_bytes, void* to) {
#if defined(__x86_64__)
  if (HasAvx512()) {
    TriadPlain512(static_cast<const char*>(a), static_cast<const char*>(b),
                  size_bytes, static_cast<char*>(to));
    return;
  }
#endif
  const uint32_t* left = static_cast<const uint32_t*>(a);
  const uint32_t* right = static_cast<const uint32_t*>(b);
  uint32_t* sum = static_cast<uint32_t*>(to);
  for (size_t i = 0; i < size_bytes / 4; ++i) sum[i] = left[i] + right[i];
}

void TriadNonTemporal(const void* a, const void* b, size_t size_bytes,
                      void* to) {
#if defined(__x86_64__)
  const char* left = static_cast<const char*>(a);
  const char* right = static_cast<const char*>(b);
  char* sum = static_cast<char*>(to);
  if (HasAvx512()) {
    TriadNonTemporal512(left, right, size_bytes, sum);
  } else {
    for (size_t at = 0; at < size_bytes; at += 16) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(sum + at),
                       _mm_add_epi32(Load128(left + at), Load128(right + at)));
    }
  }
  _mm_sfence();
#else
  TriadPlain(a, b, size_bytes, to);
#endif
}

}  // namespace actserve
