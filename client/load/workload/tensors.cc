#include "client/load/workload/tensors.h"

#include <cstdint>
#include <cstring>

#include "client/cpp/message/item_size.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

void Put(v1::DType dtype, double value, std::byte* to) {
  const auto put = [to](auto bits) { std::memcpy(to, &bits, sizeof(bits)); };
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
      return put(actserve_f32_to_f16_bits(static_cast<float>(value)));
    case v1::DTYPE_BFLOAT16:
      return put(actserve_f32_to_bf16_bits(static_cast<float>(value)));
    case v1::DTYPE_FLOAT64:
      return put(value);
    default:
      return put(static_cast<float>(value));
  }
}

}  // namespace

TensorMemory AllocateTensor(size_t size_bytes, Client* client) {
  TensorMemory buffer;
  buffer.size_bytes = size_bytes;
  if (client != nullptr) buffer.bytes = client->Allocate(size_bytes);
  if (buffer.bytes == nullptr) {
    buffer.bytes = std::shared_ptr<std::byte[]>(new std::byte[size_bytes]);
  }
  return buffer;
}

void FillNormal(v1::DType dtype, SeededRandom& random,
                const TensorMemory& buffer) {
  // Drawing as many as 2^20 takes 20 ms; beyond that they repeat.
  const size_t drawn =
      std::min<size_t>(buffer.size_bytes, ItemSizeBytes(dtype) << 20);
  std::byte* const begin = buffer.bytes.get();
  for (size_t at = 0; at < drawn; at += ItemSizeBytes(dtype)) {
    Put(dtype, random.Normal(), begin + at);
  }
  for (size_t at = drawn; at < buffer.size_bytes; at += drawn) {
    std::memcpy(begin + at, begin, std::min(drawn, buffer.size_bytes - at));
  }
}

}  // namespace actserve
