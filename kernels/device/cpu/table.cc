#include "kernels/device/cpu/table.h"

#include <cstring>

#include "kernels/math/math.h"

namespace actserve {
namespace {

uint16_t Load16(const void* from, int64_t i) {
  uint16_t bits;
  std::memcpy(&bits, static_cast<const char*>(from) + 2 * i, sizeof(bits));
  return bits;
}

void Store16(void* to, int64_t i, uint16_t bits) {
  std::memcpy(static_cast<char*>(to) + 2 * i, &bits, sizeof(bits));
}

}  // namespace

void ApplyTable(const uint16_t* table, const void* from, int64_t num_elements,
                bool non_temporal, void* to) {
  for (int64_t i = 0; i < num_elements; ++i) {
    Store16(to, i, table[Load16(from, i)]);
  }
}

void ApplyDerivativeTable(const float* table, DType storage, const void* from,
                          const void* upstream, int64_t num_elements,
                          bool non_temporal, void* to) {
  for (int64_t i = 0; i < num_elements; ++i) {
    const float d = table[Load16(from, i)];
    const uint16_t dy = Load16(upstream, i);
    Store16(to, i,
            storage == DType::kBFloat16
                ? actserve_f32_to_bf16_bits(actserve_bf16_bits_to_f32(dy) * d)
                : actserve_f32_to_f16_bits(actserve_f16_bits_to_f32(dy) * d));
  }
}

}  // namespace actserve
