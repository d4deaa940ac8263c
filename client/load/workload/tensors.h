#ifndef ACTSERVE_CLIENT_LOAD_WORKLOAD_TENSORS_H_
#define ACTSERVE_CLIENT_LOAD_WORKLOAD_TENSORS_H_

#include <cstddef>
#include <memory>

#include "actserve/v1/tensor.pb.h"
#include "client/cpp/client.h"
#include "client/load/schedule/seeded_random.h"

namespace actserve {

// Memory of a tensor.
struct TensorMemory {
  std::shared_ptr<std::byte[]> bytes;
  size_t size_bytes = 0;

  absl::Span<const std::byte> View() const { return {bytes.get(), size_bytes}; }
  absl::Span<std::byte> Span() const { return {bytes.get(), size_bytes}; }
};

// Memory of `client`, which it uses in place; with null, any.
TensorMemory AllocateTensor(size_t size_bytes, Client* client);

// Fills `buffer` with normally distributed elements.
void FillNormal(v1::DType dtype, SeededRandom& random,
                const TensorMemory& buffer);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_WORKLOAD_TENSORS_H_
