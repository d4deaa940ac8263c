// Kernels that write past the caches (KernelVariant::kNonTemporal): from where
// they may, and what comes after them.

#ifndef ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_PAST_CACHES_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_PAST_CACHES_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace actserve {

inline constexpr int64_t kCacheLineBytes = 64;

// Elements from `begin` after which all of `outputs`, pointers to elements of
// `item_size_bytes`, are at the begin of a cache line; nullopt if there is no
// such number, or no output.
template <typename Outputs>
std::optional<int64_t> ElementsToLine(const Outputs& outputs, int64_t begin,
                                      int64_t item_size_bytes) {
  std::optional<int64_t> bytes;
  for (const auto* output : outputs) {
    const auto at = static_cast<int64_t>(reinterpret_cast<uintptr_t>(output) %
                                         kCacheLineBytes);
    const int64_t over = (at + begin * item_size_bytes) % kCacheLineBytes;
    const int64_t to_line = (kCacheLineBytes - over) % kCacheLineBytes;
    if (bytes.value_or(to_line) != to_line) return std::nullopt;
    bytes = to_line;
  }
  if (!bytes || *bytes % item_size_bytes != 0) return std::nullopt;
  return *bytes / item_size_bytes;
}

// To be called after such kernels.
void StoreFence();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_MACHINE_PAST_CACHES_H_
