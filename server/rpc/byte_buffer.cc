#include "server/rpc/byte_buffer.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "grpcpp/support/slice.h"

namespace actserve {
namespace {

grpc::Slice SliceOf(Buffer buffer) {
  auto* owner = new Buffer(std::move(buffer));
  return grpc::Slice(
      owner->data(), owner->size_bytes(),
      [](void* buffer) { delete static_cast<Buffer*>(buffer); }, owner);
}

// A slice of bytes that are charged for until gRPC lets go of them.
grpc::Slice SliceOf(std::string bytes,
                    std::vector<MemoryBudget::Charge> charges) {
  struct Owner {
    std::string bytes;
    std::vector<MemoryBudget::Charge> charges;
  };
  auto* owner = new Owner{std::move(bytes), std::move(charges)};
  return grpc::Slice(
      owner->bytes.data(), owner->bytes.size(),
      [](void* owner) { delete static_cast<Owner*>(owner); }, owner);
}

}  // namespace

grpc::ByteBuffer ToByteBuffer(EncodedResponse response) {
  absl::InlinedVector<grpc::Slice, 4> slices;
  for (EncodedResponse::Piece& piece : response.pieces) {
    if (!piece.charges.empty()) {
      slices.push_back(
          SliceOf(std::move(piece.bytes), std::move(piece.charges)));
    } else if (!piece.bytes.empty()) {
      slices.emplace_back(piece.bytes);
    }
    if (piece.buffer.size_bytes() > 0) {
      slices.push_back(SliceOf(std::move(piece.buffer)));
    }
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace actserve
