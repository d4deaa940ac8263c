// Loops that only move memory, to compare kernels with.

#ifndef ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_MEMORY_BASELINE_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_MEMORY_BASELINE_H_

#include <cstddef>

namespace actserve {

// One read, one write: memcpy, and a loop of non-temporal stores. `to` is
// aligned to 64 bytes, `size_bytes` a multiple of 256.
void CopyPlain(const void* from, size_t size_bytes, void* to);
void CopyNonTemporal(const void* from, size_t size_bytes, void* to);

// Two reads, one write: to = a + b, as 32-bit integers. Otherwise the same.
void TriadPlain(const void* a, const void* b, size_t size_bytes, void* to);
void TriadNonTemporal(const void* a, const void* b, size_t size_bytes,
                      void* to);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_MEMORY_BASELINE_H_
