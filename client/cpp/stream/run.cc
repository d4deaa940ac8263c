#include "client/cpp/stream/run.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "grpcpp/support/byte_buffer.h"

namespace actserve {
namespace {

// Up to here a copy costs less than a reference with its own bookkeeping.
constexpr size_t kCopiedBytes = 16 << 10;

// What gRPC is asked to do. Its tags are addresses in kTags.
enum Operation : uint8_t { kStart, kWrite, kRead, kFinish };
const char kTags[4] = {};

void* TagOf(Operation operation) {
  return const_cast<char*>(&kTags[operation]);
}
Operation OperationOf(const void* tag) {
  return static_cast<Operation>(static_cast<const char*>(tag) - kTags);
}

grpc::ByteBuffer BytesOf(const StreamExchange::Message& message,
                         ChunkLoans& loans) {
  absl::InlinedVector<grpc::Slice, 4> slices;
  slices.emplace_back(message.head);
  for (const ByteSpan piece : message.chunk) {
    slices.push_back(piece.size() > kCopiedBytes
                         ? loans.Lend(piece)
                         : grpc::Slice(piece.data(), piece.size()));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

absl::Status Take(const grpc::ByteBuffer& bytes, StreamExchange& exchange) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) {
    return absl::InternalError("malformed stream: a message was cut off");
  }
  absl::InlinedVector<ByteSpan, 32> spans;
  for (const grpc::Slice& slice : slices) {
    spans.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()),
                       slice.size());
  }
  return exchange.Take(spans);
}

}  // namespace

grpc::Slice ChunkLoans::Lend(ByteSpan bytes) {
  {
    absl::MutexLock lock(&mutex_);
    ++num_held_;
  }
  ++num_on_loan_;
  // gRPC's slices are mutable by type; a request's are only read.
  return grpc::Slice(
      const_cast<std::byte*>(bytes.data()), bytes.size(),
      [](void* given) {
        auto& loans = *static_cast<ChunkLoans*>(given);
        --loans.num_on_loan_;
        // The loans may end once this is unlocked.
        absl::MutexLock lock(&loans.mutex_);
        --loans.num_held_;
      },
      this);
}

void ChunkLoans::AwaitReturn() {
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return num_held_ == 0;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&none));
}

grpc::Status RunStream(grpc::GenericStub& stub, const std::string& method,
                       grpc::ClientContext& context,
                       grpc::CompletionQueue& queue, ChunkLoans& loans,
                       StreamExchange& exchange, absl::Status& refused) {
  grpc::Status status;
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(TagOf(kStart));
  grpc::ByteBuffer incoming;
  int num_under_way = 1;
  bool may_write = false;
  const auto write = [&] {
    if (!may_write || !exchange.HasNext() || !exchange.MaySendNext()) return;
    may_write = false;
    const StreamExchange::Message message = exchange.Next();
    const grpc::ByteBuffer bytes = BytesOf(message, loans);
    ++num_under_way;
    if (message.is_last) {
      call->WriteLast(bytes, grpc::WriteOptions(), TagOf(kWrite));
    } else {
      call->Write(bytes, TagOf(kWrite));
    }
  };
  const auto read = [&] {
    ++num_under_way;
    call->Read(&incoming, TagOf(kRead));
  };
  const auto finish = [&] {
    ++num_under_way;
    call->Finish(&status, TagOf(kFinish));
  };
  while (num_under_way > 0) {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    --num_under_way;
    switch (OperationOf(tag)) {
      case kStart:
        if (!ok) {
          finish();
          break;
        }
        read();
        may_write = true;
        write();
        break;
      case kWrite:
        may_write = ok;
        write();
        break;
      case kRead:
        if (!ok) {
          finish();
          break;
        }
        if (refused.ok()) {
          refused = Take(incoming, exchange);
          if (!refused.ok()) context.TryCancel();
        }
        incoming.Clear();
        read();
        write();
        break;
      case kFinish:
        break;
    }
  }
  return status;
}

}  // namespace actserve
