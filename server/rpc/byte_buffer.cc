#include "server/rpc/byte_buffer.h"

#include <utility>

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

}  // namespace

grpc::ByteBuffer ToByteBuffer(EncodedResponse response) {
  absl::InlinedVector<grpc::Slice, 4> slices;
  for (EncodedResponse::Piece& piece : response.pieces) {
    if (!piece.bytes.empty()) slices.emplace_back(piece.bytes);
    if (piece.buffer.size_bytes() > 0) {
      slices.push_back(SliceOf(std::move(piece.buffer)));
    }
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace actserve
