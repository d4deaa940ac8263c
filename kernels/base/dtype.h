#ifndef ACTSERVE_KERNELS_BASE_DTYPE_H_
#define ACTSERVE_KERNELS_BASE_DTYPE_H_

#include <cstdint>
#include <string_view>

namespace actserve {

// Element type of a tensor. The values are those of the wire (tensor.proto).
enum class DType : uint8_t {
  kFloat16 = 1,
  kBFloat16 = 2,
  kFloat32 = 3,
  kFloat64 = 4,
};

constexpr int64_t ItemSizeBytes(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kFloat32:
      return 4;
    case DType::kFloat64:
      return 8;
  }
  return 0;
}

constexpr bool Is16Bit(DType dtype) { return ItemSizeBytes(dtype) == 2; }

// Entries of the table of a 16-bit function: one for each bit pattern.
inline constexpr int64_t kTableEntries = 65536;

// "float16", "bfloat16", "float32", "float64".
constexpr std::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
  }
  return "unknown";
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_DTYPE_H_
