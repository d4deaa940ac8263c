#include "client/cpp/wire/narrow_tensors.h"

#include <cstring>

#include "kernels/math/half.h"

namespace actserve {
namespace {

// memcpy, because the caller's memory has any alignment.
template <typename Round>
void NarrowBy(Round round, const std::byte* from, size_t count, uint16_t* to) {
  for (size_t i = 0; i < count; ++i) {
    float element;
    std::memcpy(&element, from + i * sizeof(element), sizeof(element));
    to[i] = round(element);
  }
}

template <typename Convert>
void WidenBy(Convert convert, const uint16_t* from, size_t count,
             std::byte* to) {
  for (size_t i = 0; i < count; ++i) {
    const float element = convert(from[i]);
    std::memcpy(to + i * sizeof(element), &element, sizeof(element));
  }
}

}  // namespace

absl::Span<std::byte> NarrowTensors::Add(size_t count) {
  memory_.push_back(std::make_unique_for_overwrite<uint16_t[]>(count));
  return {reinterpret_cast<std::byte*>(memory_.back().get()),
          count * sizeof(uint16_t)};
}

absl::Span<const std::byte> NarrowTensors::Narrow(
    absl::Span<const std::byte> bytes) {
  const size_t count = bytes.size() / sizeof(float);
  const absl::Span<std::byte> narrow = Add(count);
  uint16_t* const to = memory_.back().get();
  if (type_ == Type::kFloat16) {
    NarrowBy([](float x) { return actserve_f32_to_f16_bits(x); }, bytes.data(),
             count, to);
  } else {
    NarrowBy([](float x) { return actserve_f32_to_bf16_bits(x); }, bytes.data(),
             count, to);
  }
  return narrow;
}

absl::Span<std::byte> NarrowTensors::RoomFor(absl::Span<std::byte> output) {
  const absl::Span<std::byte> room = Add(output.size() / sizeof(float));
  outputs_.push_back({memory_.back().get(), output});
  return room;
}

void NarrowTensors::Widen() const {
  for (const Output& output : outputs_) {
    const size_t count = output.to.size() / sizeof(float);
    if (type_ == Type::kFloat16) {
      WidenBy([](uint16_t x) { return actserve_f16_bits_to_f32(x); },
              output.elements, count, output.to.data());
    } else {
      WidenBy([](uint16_t x) { return actserve_bf16_bits_to_f32(x); },
              output.elements, count, output.to.data());
    }
  }
}

}  // namespace actserve
