#include "server/message/ones.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace actserve {
namespace {

// Elements of value one, to be read again and again.
struct Ones {
  alignas(64) std::array<std::byte, 64 << 10> bytes;
};

const Ones& OnesOf(DType dtype) {
  const auto make = [](auto one) {
    auto* ones = new Ones;
    for (size_t at = 0; at < ones->bytes.size(); at += sizeof(one)) {
      std::memcpy(ones->bytes.data() + at, &one, sizeof(one));
    }
    return ones;
  };
  static const Ones* const float16 = make(uint16_t{0x3C00});
  static const Ones* const bfloat16 = make(uint16_t{0x3F80});
  static const Ones* const float32 = make(1.0f);
  static const Ones* const float64 = make(1.0);
  switch (dtype) {
    case DType::kFloat16:
      return *float16;
    case DType::kBFloat16:
      return *bfloat16;
    case DType::kFloat32:
      return *float32;
    case DType::kFloat64:
      break;
  }
  return *float64;
}

}  // namespace

std::vector<Fragment> OnesTensor(const TensorType& type) {
  const Ones& ones = OnesOf(type.dtype);
  std::vector<Fragment> fragments;
  size_t left = type.size_bytes();
  while (left > 0) {
    const size_t run = std::min(left, ones.bytes.size());
    fragments.push_back({ones.bytes.data(), run});
    left -= run;
  }
  return fragments;
}

}  // namespace actserve
