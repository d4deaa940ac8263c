#ifndef ACTSERVE_CLIENT_CPP_WIRE_NARROW_TENSORS_H_
#define ACTSERVE_CLIENT_CPP_WIRE_NARROW_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"

namespace actserve {

// The tensors of one call in a 16-bit type, where the caller has float32: what
// is sent and what is received. Owns their memory, half of that of the
// caller's. Not thread-safe.
class NarrowTensors {
 public:
  enum class Type { kFloat16, kBFloat16 };

  explicit NarrowTensors(Type type) : type_(type) {}

  // The float32 elements in `bytes`, each rounded to nearest, ties to even. A
  // multiple of 4 bytes.
  absl::Span<const std::byte> Narrow(absl::Span<const std::byte> bytes);

  // Room for the elements of `output`, a multiple of 4 bytes, which must live
  // until Widen().
  absl::Span<std::byte> RoomFor(absl::Span<std::byte> output);

  // Writes what was received into each output, exactly.
  void Widen() const;

 private:
  using Elements = std::unique_ptr<uint16_t[]>;
  struct Output {
    const uint16_t* elements;
    absl::Span<std::byte> to;
  };

  absl::Span<std::byte> Add(size_t count);

  const Type type_;
  std::vector<Elements> memory_;
  std::vector<Output> outputs_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_WIRE_NARROW_TENSORS_H_
