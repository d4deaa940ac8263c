#include "server/shared_memory/request_copy.h"

#include <atomic>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace actserve {

using shared_memory::kMaxOutputs;
using shared_memory::kMaxPieces;
using shared_memory::kSlotBytes;
using shared_memory::Operation;
using shared_memory::Piece;
using shared_memory::Request;

absl::StatusOr<Request> CopyRequest(const Request& theirs) {
  Request request;
  std::memcpy(static_cast<void*>(&request), &theirs, offsetof(Request, pieces));
  // What is checked below is the copy: the compiler must not read again.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const auto operation = static_cast<uint32_t>(request.operation);
  if (operation < static_cast<uint32_t>(Operation::kForward) ||
      operation > static_cast<uint32_t>(Operation::kDrop)) {
    return absl::InvalidArgumentError(absl::StrCat("no operation ", operation));
  }
  if (request.num_pieces > kMaxPieces || request.num_outputs > kMaxOutputs) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.num_pieces, " pieces and ", request.num_outputs,
                     " outputs; limits ", kMaxPieces, " and ", kMaxOutputs));
  }
  std::memcpy(request.pieces.data(), theirs.pieces.data(),
              request.num_pieces * sizeof(Piece));
  std::memcpy(request.outputs.data(), theirs.outputs.data(),
              request.num_outputs * sizeof(Piece));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  size_t left_bytes = kSlotBytes;
  const auto take = [&](uint64_t size_bytes) {
    if (size_bytes > left_bytes) return false;
    left_bytes -= size_bytes;
    return true;
  };
  bool fits = take(request.trace_bytes);
  for (size_t i = 0; i < request.num_pieces; ++i) {
    const Piece& piece = request.pieces[i];
    if (piece.region == shared_memory::kInSlot) fits &= take(piece.size_bytes);
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the pieces in the slot are more than its ", kSlotBytes, " bytes"));
  }
  return request;
}

}  // namespace actserve
