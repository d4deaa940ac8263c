#include "server/rpc/byte_buffer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "google/protobuf/io/zero_copy_stream.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "kernels/base/status_macros.h"
#include "server/state/residuals.h"

namespace actserve {
namespace {

grpc::Slice SliceOf(Buffer buffer, CallCounter* calls) {
  struct Owner {
    Buffer buffer;
    CallCounter* calls;
  };
  calls->EnterAnswer();
  auto* owner = new Owner{std::move(buffer), calls};
  return grpc::Slice(
      owner->buffer.data(), owner->buffer.size_bytes(),
      [](void* sent) {
        const std::unique_ptr<Owner> owner(static_cast<Owner*>(sent));
        owner->buffer = Buffer();
        owner->calls->Leave();
      },
      owner);
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

// What a call with such a message takes while it runs.
int64_t CostOf(size_t message_bytes, size_t num_slices) {
  // gRPC's call and ours; the largest part is gRPC's arena.
  constexpr size_t kCallBytes = 16 << 10;
  return static_cast<int64_t>(kCallBytes + message_bytes +
                              num_slices * kFragmentBytes);
}

}  // namespace

grpc::ByteBuffer ToByteBuffer(EncodedResponse response, CallCounter* calls) {
  absl::InlinedVector<grpc::Slice, 4> slices;
  for (EncodedResponse::Piece& piece : response.pieces) {
    if (!piece.charges.empty()) {
      slices.push_back(
          SliceOf(std::move(piece.bytes), std::move(piece.charges)));
    } else if (!piece.bytes.empty()) {
      slices.emplace_back(piece.bytes);
    }
    if (piece.buffer.size_bytes() > 0) {
      slices.push_back(SliceOf(std::move(piece.buffer), calls));
    }
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

int64_t SizeOf(const grpc::ByteBuffer& message) {
  return message.Valid() ? static_cast<int64_t>(message.Length()) : 0;
}

grpc::ByteBuffer TakeRequest(const grpc::ByteBuffer* request) {
  grpc::ByteBuffer taken;
  // Const only by the signature of methods; gRPC made it and destroys it.
  const_cast<grpc::ByteBuffer*>(request)->Swap(&taken);
  return taken;
}

absl::StatusOr<std::vector<Fragment>> ReceivedMessage::Open(
    const CallerId& caller, MemoryBudget& memory, CallMetrics* metrics) {
  if (!bytes.Dump(&slices).ok()) return NoMessageError();
  const size_t message_bytes = bytes.Length();
  if (metrics != nullptr) {
    metrics->CountReceived(static_cast<int64_t>(message_bytes));
  }
  ACTSERVE_ASSIGN_OR_RETURN(charge,
                            memory.Take(MemoryBudget::Half::kRequests, caller,
                                        CostOf(message_bytes, slices.size())));
  std::vector<Fragment> fragments;
  fragments.reserve(slices.size());
  for (const grpc::Slice& slice : slices) {
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()});
  }
  return fragments;
}

absl::Status NoMessageError() {
  return absl::InvalidArgumentError(
      "request has no message, or one that was cut off");
}

absl::Status ReadMessage(const grpc::ByteBuffer& bytes, const SizeLimit& limit,
                         google::protobuf::Message* message) {
  if (!bytes.Valid()) return NoMessageError();
  const int64_t size_bytes = SizeOf(bytes);
  if (size_bytes > limit.bytes) {
    return InvalidArgument("request of ", size_bytes, " bytes, limit ",
                           limit.bytes, limit.flag.empty() ? "" : ", by ",
                           limit.flag);
  }
  grpc::ByteBuffer shared = bytes;  // the reader wants to write to it
  grpc::ProtoBufferReader reader(&shared);
  if (!reader.status().ok()) return NoMessageError();
  if (!message->ParseFromZeroCopyStream(&reader)) {
    return InvalidArgument("request is not a valid ",
                           message->GetDescriptor()->name(),
                           ": bad protobuf, or a string that is not UTF-8");
  }
  message->DiscardUnknownFields();
  return absl::OkStatus();
}

grpc::ByteBuffer WriteMessage(const google::protobuf::Message& message,
                              MemoryBudget::Charge charge) {
  std::vector<MemoryBudget::Charge> charges;
  charges.push_back(std::move(charge));
  const grpc::Slice slice =
      SliceOf(message.SerializeAsString(), std::move(charges));
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace actserve
