#include "client/cpp/shared_memory/shared_calls.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/overlap.h"
#include "kernels/base/status_macros.h"
#include "proto/status.h"

namespace actserve {
namespace {

using shared_memory::Answer;
using shared_memory::kInSlot;
using shared_memory::kMaxOutputs;
using shared_memory::kMaxPieces;
using shared_memory::kSlotBytes;
using shared_memory::Operation;
using shared_memory::Piece;
using shared_memory::Slot;

using Slices = std::vector<grpc::Slice>;
using Outputs = absl::Span<const absl::Span<std::byte>>;

// After a failure to connect.
constexpr absl::Duration kPause = absl::Seconds(1);
// What a reply has beside its tensors is less than this.
constexpr size_t kReplyHeadBytes = 4096;
// Parts of a message from this size on go into a region, if they do not all go
// into the slot.
constexpr size_t kMinRegionBytes = 1024;

size_t SizeOf(absl::Span<const ByteSpan> parts) {
  size_t size_bytes = 0;
  for (const ByteSpan part : parts) size_bytes += part.size();
  return size_bytes;
}

size_t SizeOf(Outputs outputs) {
  size_t size_bytes = 0;
  for (const auto& output : outputs) size_bytes += output.size();
  return size_bytes;
}

// One call: from the parts of its message to the slices of its reply.
class Exchange {
 public:
  Exchange(RingClient& ring, SharedPool& pool,
           const DeviceAllocations& allocations, RingClient::Turn& turn)
      : ring_(ring), pool_(pool), allocations_(allocations), turn_(turn) {}

  // Puts the message into the slot and the regions.
  absl::Status Write(Operation operation, absl::Span<const ByteSpan> parts,
                     Outputs outputs, const std::string& trace) {
    shared_memory::Request& request = turn_.slot().request;
    request.operation = operation;
    request.num_pieces = 0;
    request.num_outputs = 0;
    request.trace_bytes = 0;
    if (!trace.empty()) {
      ACTSERVE_RETURN_IF_ERROR(WriteToSlot(trace.data(), trace.size()));
      request.trace_bytes = static_cast<uint32_t>(trace.size());
    }
    const bool all_in_slot = trace.size() + SizeOf(parts) <= kSlotBytes;
    for (const ByteSpan part : parts) {
      if (part.empty()) continue;
      if (request.num_pieces == kMaxPieces) {
        return absl::ResourceExhaustedError("too many tensors for the ring");
      }
      Piece& piece = request.pieces[request.num_pieces++];
      const bool fits_slot = all_in_slot || part.size() < kMinRegionBytes;
      if (fits_slot && !allocations_.Touches(part.data(), part.size())) {
        ACTSERVE_RETURN_IF_ERROR(WriteToSlot(part.data(), part.size()));
        piece = {.region = kInSlot, .size_bytes = part.size()};
        continue;
      }
      std::byte* data = const_cast<std::byte*>(part.data());
      ACTSERVE_ASSIGN_OR_RETURN(piece, Share(data, part.size()));
      if (data != part.data()) std::memcpy(data, part.data(), part.size());
    }
    const bool some_on_device = std::any_of(
        outputs.begin(), outputs.end(), [&](absl::Span<std::byte> output) {
          return allocations_.Touches(output.data(), output.size());
        });
    if (!some_on_device && kReplyHeadBytes + SizeOf(outputs) <= kSlotBytes) {
      return absl::OkStatus();
    }
    if (outputs.size() > kMaxOutputs) {
      return absl::ResourceExhaustedError("too many tensors for the ring");
    }
    for (const absl::Span<std::byte> output : outputs) {
      std::byte*& place = shared_outputs_.emplace_back(output.data());
      // A server that goes while it writes must leave the request as it is: the
      // call is made again.
      const bool lies_in_request =
          std::any_of(parts.begin(), parts.end(), [&](const ByteSpan part) {
            return Overlap(output.data(), output.size(), part.data(),
                           part.size());
          });
      ACTSERVE_ASSIGN_OR_RETURN(request.outputs[request.num_outputs],
                                lies_in_request && !some_on_device
                                    ? ShareBlock(place, output.size())
                                    : Share(place, output.size()));
      ++request.num_outputs;
    }
    outputs_ = outputs;
    return absl::OkStatus();
  }

  absl::Status Call(const CallBounds& bounds) {
    return turn_.Call(bounds, !has_in_place_);
  }

  // Reads the reply of a Call() that is OK.
  absl::StatusOr<Slices> Read(const CallBounds& bounds) {
    const Slot& slot = turn_.slot();
    switch (slot.reply.answer) {
      case Answer::kMessage:
        return ReadMessage();
      case Answer::kError:
        return ReadError();
      case Answer::kNeedsRoom:
        return Fetch(bounds);
    }
    return Malformed();
  }

 private:
  static absl::Status Malformed() {
    return absl::InternalError("malformed reply in shared memory");
  }

  absl::Status WriteToSlot(const void* data, size_t size_bytes) {
    if (size_bytes > kSlotBytes - slot_bytes_) {
      return absl::ResourceExhaustedError("no room in the slot");
    }
    std::memcpy(turn_.slot().bytes.data() + slot_bytes_, data, size_bytes);
    slot_bytes_ += size_bytes;
    return absl::OkStatus();
  }

  // `place` is one of the pool or on a device, and `region` what it is in.
  template <typename Region, typename Place>
  absl::StatusOr<Piece> PieceAt(const Region& region, const Place& place,
                                size_t size_bytes) {
    ACTSERVE_ASSIGN_OR_RETURN(const uint32_t number, ring_.NumberOf(region));
    return Piece{
        .region = number, .offset = place.offset, .size_bytes = size_bytes};
  }

  // Where the server finds the tensor at `data`, which becomes the place in
  // this process: that of the caller where it is shared, else a new block.
  absl::StatusOr<Piece> Share(std::byte*& data, size_t size_bytes) {
    if (const auto place = allocations_.Find(data, size_bytes)) {
      has_in_place_ = true;
      return PieceAt(*place->allocation, *place, size_bytes);
    }
    if (const auto place = pool_.Find(data, size_bytes)) {
      has_in_place_ = true;
      return PieceAt(place->region, *place, size_bytes);
    }
    return ShareBlock(data, size_bytes);
  }

  // A new block, which `data` becomes.
  absl::StatusOr<Piece> ShareBlock(std::byte*& data, size_t size_bytes) {
    ACTSERVE_ASSIGN_OR_RETURN(SharedPool::Block block,
                              pool_.Allocate(size_bytes));
    data = block.data();
    turn_.blocks().push_back(std::move(block));
    const SharedPool::Place& place = turn_.blocks().back().place();
    return PieceAt(place.region, place, size_bytes);
  }

  absl::StatusOr<Slices> ReadMessage() {
    const shared_memory::Slot& slot = turn_.slot();
    const uint32_t num_pieces = slot.reply.num_pieces;
    if (num_pieces > kMaxPieces) return Malformed();
    Slices slices;
    size_t used = 0;
    for (uint32_t i = 0; i < num_pieces; ++i) {
      const Piece piece = slot.reply.pieces[i];
      if (piece.region == kInSlot) {
        if (piece.size_bytes > kSlotBytes - used) return Malformed();
        slices.emplace_back(slot.bytes.data() + used, piece.size_bytes);
        used += piece.size_bytes;
        continue;
      }
      const size_t output = piece.region - 1;
      if (output >= outputs_.size() ||
          piece.size_bytes != outputs_[output].size()) {
        return Malformed();
      }
      std::byte* const to = outputs_[output].data();
      if (shared_outputs_[output] != to) {
        std::memcpy(to, shared_outputs_[output], piece.size_bytes);
      }
      slices.emplace_back(to, piece.size_bytes, grpc::Slice::STATIC_SLICE);
    }
    return slices;
  }

  absl::Status ReadError() {
    const shared_memory::Slot& slot = turn_.slot();
    const size_t size_bytes = slot.reply.pieces[0].size_bytes;
    v1::Status status;
    if (size_bytes > kSlotBytes ||
        !status.ParseFromArray(slot.bytes.data(),
                               static_cast<int>(size_bytes)) ||
        status.code() == 0) {
      return Malformed();
    }
    return FromProto(status);
  }

  // The reply waits until it is told where there is room for it.
  absl::StatusOr<Slices> Fetch(const CallBounds& bounds) {
    const size_t size_bytes = turn_.slot().reply.pieces[0].size_bytes;
    absl::Status status = [&] {
      shared_memory::Request& request = turn_.slot().request;
      request.num_pieces = 0;
      request.trace_bytes = 0;
      request.num_outputs = 0;
      auto block = pool_.Allocate(size_bytes);
      auto piece = block.ok() ? PieceAt(block->place().region, block->place(),
                                        size_bytes)
                              : absl::StatusOr<Piece>(block.status());
      if (!piece.ok()) {
        request.operation = Operation::kDrop;
        absl::Status dropped = Call(bounds);
        return dropped.ok() ? piece.status() : dropped;
      }
      request.operation = Operation::kFetch;
      request.outputs[0] = *piece;
      request.num_outputs = 1;
      turn_.blocks().push_back(*std::move(block));
      return Call(bounds);
    }();
    if (!status.ok()) return status;
    if (turn_.slot().reply.answer == Answer::kError) return ReadError();
    auto* const block = new SharedPool::Block(std::move(turn_.blocks().back()));
    turn_.blocks().pop_back();
    Slices slices;
    slices.emplace_back(
        block->data(), size_bytes,
        [](void* owner) { delete static_cast<SharedPool::Block*>(owner); },
        block);
    return slices;
  }

  RingClient& ring_;
  SharedPool& pool_;
  const DeviceAllocations& allocations_;
  RingClient::Turn& turn_;
  size_t slot_bytes_ = 0;
  // Memory of the caller's is used where it lies.
  bool has_in_place_ = false;
  Outputs outputs_;
  // Where the server writes them.
  std::vector<std::byte*> shared_outputs_;
};

std::optional<Operation> OperationOf(absl::string_view method) {
  if (method == "Forward") return Operation::kForward;
  if (method == "Backward") return Operation::kBackward;
  return std::nullopt;
}

// Errors after which a call that was not made is made another way: the retries
// of the other way are those of the client.
bool IsForNow(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsUnauthenticated(status);
}

}  // namespace

SharedCalls::SharedCalls(std::string path, size_t max_bytes,
                         std::function<std::string()> token)
    : path_(std::move(path)),
      token_(std::move(token)),
      pid_(getpid()),
      pool_(SharedPool::Create(max_bytes)) {}

absl::StatusOr<std::shared_ptr<RingClient>> SharedCalls::Ring(
    absl::Time deadline) {
  if (getpid() != pid_) {
    return absl::UnavailableError("the ring is that of the parent process");
  }
  {
    absl::MutexLock lock(&mu_);
    const auto may_look = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return !is_connecting_;
    };
    if (!mu_.AwaitWithDeadline(absl::Condition(&may_look), deadline)) {
      return absl::UnavailableError("another call waits for the server");
    }
    if (ring_ != nullptr && ring_->is_open()) return ring_;
    if (absl::Now() < next_try_) return why_;
    ring_ = nullptr;
    is_connecting_ = true;
  }
  const std::string token = token_();
  auto ring = RingClient::Connect(
      path_, token.empty() ? "" : absl::StrCat("Bearer ", token), deadline);
  absl::MutexLock lock(&mu_);
  is_connecting_ = false;
  if (!ring.ok()) {
    next_try_ = absl::Now() + kPause;
    why_ = ring.status();
    return why_;
  }
  ring_ = *std::move(ring);
  return ring_;
}

absl::StatusOr<Slices> SharedCalls::TryCall(
    absl::string_view method, absl::Span<const ByteSpan> parts, Outputs outputs,
    const CallBounds& bounds, const std::string& trace, bool& was_made) {
  const std::optional<Operation> operation = OperationOf(method);
  if (!operation) {
    return absl::UnimplementedError(
        absl::StrCat(method, " is no call of the ring"));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const std::shared_ptr<RingClient> ring,
                            Ring(bounds.deadline));
  std::optional<RingClient::Turn> turn = ring->Take(bounds.deadline);
  if (!turn) {
    return absl::DeadlineExceededError("all slots of the ring are in use");
  }
  ring->ForgetRegionsGone(pool_->num_gone());
  Exchange exchange(*ring, *pool_, allocations_, *turn);
  ACTSERVE_RETURN_IF_ERROR(exchange.Write(*operation, parts, outputs, trace));
  was_made = true;
  const absl::Status answered = exchange.Call(bounds);
  absl::StatusOr<Slices> slices =
      answered.ok() ? exchange.Read(bounds) : answered;
  const bool is_cancelled =
      bounds.is_cancelled != nullptr && bounds.is_cancelled();
  if (absl::IsCancelled(slices.status()) && !is_cancelled &&
      absl::Now() > bounds.deadline) {
    // The ring knows one word for both.
    return absl::DeadlineExceededError(
        "the time limit of the call passed before it was computed");
  }
  if (absl::IsUnauthenticated(slices.status())) {
    // The next call brings the token of that time.
    absl::MutexLock lock(&mu_);
    ring_ = nullptr;
  }
  return slices;
}

std::optional<absl::StatusOr<Slices>> SharedCalls::Call(
    absl::string_view method, absl::Span<const ByteSpan> parts, Outputs outputs,
    const CallBounds& bounds, const std::string& trace) {
  bool was_made = false;
  absl::StatusOr<Slices> slices =
      TryCall(method, parts, outputs, bounds, trace, was_made);
  if (!was_made || (!slices.ok() && IsForNow(slices.status()))) {
    return std::nullopt;
  }
  return slices;
}

bool SharedCalls::IsOnDevice(absl::Span<const ByteSpan> parts,
                             Outputs outputs) {
  Allocations freed;
  const bool is_on_device = allocations_.AreUsed(parts, outputs, freed);
  Forget(freed);
  return is_on_device;
}

absl::StatusOr<Slices> SharedCalls::CallOnDevice(
    absl::string_view method, absl::Span<const ByteSpan> parts, Outputs outputs,
    const CallBounds& bounds, std::optional<void*> stream,
    const std::string& trace) {
  ACTSERVE_RETURN_IF_ERROR(allocations_.Prepare(
      parts, outputs, stream, bounds.deadline, bounds.is_cancelled));
  bool was_made = false;
  return TryCall(method, parts, outputs, bounds, trace, was_made);
}

absl::Status SharedCalls::ShareDevice(const void* pointer) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::shared_ptr<RingClient> ring,
                            Ring(absl::InfiniteFuture()));
  Allocations freed;
  const auto allocation = allocations_.Add(pointer, freed);
  Forget(freed);
  if (!allocation.ok()) return allocation.status();
  const absl::Status offered = ring->NumberOf(**allocation).status();
  if (!offered.ok()) allocations_.Remove(pointer);
  return offered;
}

void SharedCalls::ForgetDevice(const void* pointer) {
  if (pointer == nullptr) return Forget(allocations_.RemoveAll());
  if (auto allocation = allocations_.Remove(pointer)) Forget({allocation});
}

void SharedCalls::Forget(const Allocations& allocations) {
  if (allocations.empty() || getpid() != pid_) return;
  absl::MutexLock lock(&mu_);
  if (ring_ == nullptr) return;
  for (const auto& each : allocations) ring_->Forget(*each);
}

}  // namespace actserve
