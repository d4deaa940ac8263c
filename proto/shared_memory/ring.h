// How a client and a server on one host call each other through memory that
// both map, without a system call where neither of them sleeps.
//
// The server makes one Ring for each client that comes to its control socket
// (control.h). A call takes a slot:
//
//   client: write Slot::request and the bytes; publish the slot in `order`;
//           count `num_published` up, and wake the server if it sleeps
//   server: copy the request, compute; write Slot::reply and the bytes;
//           set `state` to kAnswered, and wake the caller if it sleeps
//
// The message of a call is that of the contract (v1::ForwardRequest with its
// payloads), cut into pieces: a piece lies among the slot's own bytes, or in a
// region, which is memory that the client has shared. So does that of a reply.
//
// Neither side trusts the other: both copy what they check before they check
// it. Numbers are in the byte order of the host.

#ifndef ACTSERVE_PROTO_SHARED_MEMORY_RING_H_
#define ACTSERVE_PROTO_SHARED_MEMORY_RING_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actserve::shared_memory {

// Of this layout and the control socket; both sides must have the same one.
inline constexpr uint32_t kVersion = 1;

// Calls of one client at a time.
inline constexpr uint32_t kNumSlots = 64;
// The bytes of a slot: those of a request's pieces that are in no region, and
// then those of its reply.
inline constexpr size_t kSlotBytes = size_t{16} << 10;
inline constexpr size_t kMaxPieces = 40;
inline constexpr size_t kMaxOutputs = 20;

// The pieces that are no place in a region: the next bytes of the slot.
inline constexpr uint32_t kInSlot = 0;

// `size_bytes` bytes of a message.
struct Piece {
  // kInSlot, or the number that the server gave a region.
  uint32_t region = kInSlot;
  uint32_t unused = 0;
  // From the region's start.
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

enum class Operation : uint32_t {
  kForward = 1,
  kBackward = 2,
  // Copies the payloads of the reply that was kNeedsRoom to the outputs.
  kFetch = 3,
  // Forgets that reply.
  kDrop = 4,
};

struct Request {
  Operation operation = Operation::kForward;
  uint32_t num_pieces = 0;
  uint32_t num_outputs = 0;
  // The first so many bytes of the slot are no part of the message: the
  // caller's traceparent, a line feed, and its tracestate. 0: no trace.
  uint32_t trace_bytes = 0;
  // Work that has not started by then never starts: nanoseconds since 1970.
  int64_t deadline_nanos = 0;
  std::array<Piece, kMaxPieces> pieces = {};
  // Where the client wants the payloads of the reply, in their order. If there
  // are as many and they have these sizes, they are written there.
  std::array<Piece, kMaxOutputs> outputs = {};
};

enum class Answer : uint32_t {
  // The pieces of the reply follow.
  kMessage = 1,
  // The slot's bytes are a v1::Status.
  kError = 2,
  // The payloads are too large for the slot, and the outputs do not fit them.
  // `pieces` tells the size of each, in a region that is not known yet.
  kNeedsRoom = 3,
};

struct Reply {
  Answer answer = Answer::kMessage;
  uint32_t num_pieces = 0;
  // Of a piece that is not in the slot, `region` is 1 + the index of the
  // output, and `offset` is 0.
  std::array<Piece, kMaxPieces> pieces = {};
};

enum class SlotState : uint32_t { kFree, kAsked, kAnswered };

struct Slot {
  // A SlotState; a futex on which the caller waits.
  alignas(64) std::atomic<uint32_t> state = 0;
  // 1 while the caller may sleep.
  std::atomic<uint32_t> sleeps = 0;
  // 1: nobody wants the answer any more.
  std::atomic<uint32_t> is_cancelled = 0;
  Request request;
  Reply reply;
  alignas(64) std::array<std::byte, kSlotBytes> bytes = {};
};

struct Ring {
  // Slots that the client has published so far, modulo 2^32: the i-th is
  // order[i % kNumSlots]. A futex on which the server waits.
  alignas(64) std::atomic<uint32_t> num_published = 0;
  // 1 while the server may sleep.
  alignas(64) std::atomic<uint32_t> server_sleeps = 0;
  // 1: the server takes no more calls.
  std::atomic<uint32_t> is_closed = 0;
  alignas(64) std::array<std::atomic<uint32_t>, kNumSlots> order = {};
  std::array<Slot, kNumSlots> slots;
};

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

}  // namespace actserve::shared_memory

#endif  // ACTSERVE_PROTO_SHARED_MEMORY_RING_H_
