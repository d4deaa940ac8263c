// Entries of a ring that a client wrote: each call gets exactly one answer,
// which stays within the slot and its outputs; and what calls held comes back.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actserve/v1/status.pb.h"
#include "google/protobuf/stubs/logging.h"
#include "kernels/base/testing/fuzz_target.h"
#include "kernels/device/cpu/cpu_device.h"
#include "proto/shared_memory/futex.h"
#include "server/observe/log.h"
#include "server/shared_memory/session.h"
#include "server/testing/engine_parts.h"
#include "server/testing/ring_peer.h"

namespace actserve {
namespace {

using shared_memory::Answer;
using shared_memory::kInSlot;
using shared_memory::kNumSlots;
using shared_memory::kSlotBytes;
using shared_memory::Piece;
using shared_memory::Request;
using shared_memory::Ring;
using shared_memory::Slot;
using shared_memory::SlotState;
using testing::FuzzInput;

constexpr size_t kRegionBytes = size_t{64} << 10;

// A session with a client that has shared one region, number 1.
class Client {
 public:
  explicit Client(const SessionServices& services, RegionBudget* budget) {
    session_ = *Session::Start(services, budget, getuid(), "",
                               [this] { is_broken_ = true; });
    ring_ =
        static_cast<Ring*>(mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                                MAP_SHARED, session_->ring_fd(), 0));
    ACTSERVE_FUZZ_CHECK(ring_ != MAP_FAILED);
    ACTSERVE_FUZZ_CHECK(
        session_->AddRegion(testing::MakeRegion(kRegionBytes, F_SEAL_SHRINK))
            .value() == 1);
  }
  ~Client() {
    session_->Close();
    munmap(ring_, sizeof(Ring));
  }

  Ring& ring() { return *ring_; }
  bool is_broken() const { return is_broken_; }

  void Publish(uint32_t index) {
    const uint32_t next = ring_->num_published.load();
    ring_->order[next % kNumSlots] = index;
    ring_->num_published = next + 1;
    shared_memory::Wake(ring_->num_published);
  }

  // False if the server has ended the session instead.
  bool AwaitAnswer(uint32_t index) {
    Slot& slot = ring_->slots[index];
    const absl::Time end = absl::Now() + absl::Seconds(20);
    for (int i = 0; slot.state != static_cast<uint32_t>(SlotState::kAnswered);
         ++i) {
      if (is_broken_) return false;
      ACTSERVE_FUZZ_CHECK(absl::Now() < end);
      if (i > 1000) absl::SleepFor(absl::Microseconds(20));
    }
    return true;
  }

 private:
  std::atomic<bool> is_broken_ = false;
  std::shared_ptr<Session> session_;
  Ring* ring_ = nullptr;
};

// All that serves sessions, once for the process.
struct Services {
  std::unique_ptr<CpuDevice> device =
      *CpuDevice::Create({.num_threads = 1, .max_programs = 64});
  testing::EngineParts engine{device.get(), /*max_memory_bytes=*/64 << 20};
  CallCounter calls;
  CallMetrics metrics;
  CallObserver observer{{}, nullptr};
  RegionBudget budget{int64_t{1} << 30};
  SessionServices services{engine.parts, calls,   &metrics,
                           observer,     nullptr, nullptr};
};

Piece NextPiece(FuzzInput& input) {
  const auto kind = input.Get<uint8_t>();
  Piece piece;
  piece.region = kind % 4;
  if (kind < 0xf0) {
    piece.offset = input.Get<uint16_t>();
    piece.size_bytes = input.Get<uint16_t>();
  } else {
    piece.region = input.Get<uint32_t>();
    piece.offset = input.Get<uint64_t>();
    piece.size_bytes = input.Get<uint64_t>();
  }
  return piece;
}

// Writes a request of the input into a slot.
void WriteRequest(FuzzInput& input, Slot& slot) {
  Request& request = slot.request;
  request.operation =
      static_cast<shared_memory::Operation>(input.Get<uint8_t>());
  request.num_pieces = input.Get<uint8_t>();
  request.num_outputs = input.Get<uint8_t>();
  request.trace_bytes = input.Get<uint16_t>();
  request.deadline_nanos = absl::ToUnixNanos(absl::Now() + absl::Seconds(15));
  for (uint32_t i = 0;
       i < std::min<uint32_t>(request.num_pieces, shared_memory::kMaxPieces);
       ++i) {
    request.pieces[i] = NextPiece(input);
  }
  for (uint32_t i = 0;
       i < std::min<uint32_t>(request.num_outputs, shared_memory::kMaxOutputs);
       ++i) {
    request.outputs[i] = NextPiece(input);
  }
  const std::string_view bytes =
      input.Take(std::min<size_t>(input.Get<uint16_t>(), kSlotBytes));
  std::memcpy(slot.bytes.data(), bytes.data(), bytes.size());
}

void CheckReply(const Slot& slot) {
  const shared_memory::Reply& reply = slot.reply;
  const auto answer = static_cast<uint32_t>(reply.answer);
  ACTSERVE_FUZZ_CHECK(answer >= 1 && answer <= 3);
  ACTSERVE_FUZZ_CHECK(reply.num_pieces <= shared_memory::kMaxPieces);
  if (reply.answer == Answer::kNeedsRoom) return;
  size_t slot_bytes = 0;
  for (uint32_t i = 0; i < reply.num_pieces; ++i) {
    const Piece& piece = reply.pieces[i];
    if (piece.region == kInSlot) {
      slot_bytes += piece.size_bytes;
    } else {
      ACTSERVE_FUZZ_CHECK(piece.region <= slot.request.num_outputs);
      const Piece& output = slot.request.outputs[piece.region - 1];
      ACTSERVE_FUZZ_CHECK(output.size_bytes >= piece.size_bytes);
    }
  }
  ACTSERVE_FUZZ_CHECK(slot_bytes <= kSlotBytes);
  if (reply.answer == Answer::kError) {
    v1::Status status;
    ACTSERVE_FUZZ_CHECK(status.ParseFromArray(
        slot.bytes.data(), static_cast<int>(reply.pieces[0].size_bytes)));
    ACTSERVE_FUZZ_CHECK(status.code() != 0);
  }
}

// Entries: the slot, whether to wait for its answer, the request and its bytes.
ACTSERVE_FUZZ_TARGET(ring) {
  // It reports every string that is not UTF-8.
  static const google::protobuf::LogSilencer silencer;
  static Services& services = *new Services;
  static std::unique_ptr<Client>& client = *new std::unique_ptr<Client>;
  [[maybe_unused]] static const bool is_quiet = SetLogLevel("error").ok();
  if (client == nullptr) {
    client = std::make_unique<Client>(services.services, &services.budget);
  }
  FuzzInput input(data, size);
  std::vector<uint32_t> asked;
  bool is_fair = true;
  while (!input.empty() && asked.size() < 8 && is_fair) {
    const uint32_t index = input.Get<uint8_t>();
    const bool waits = input.Get<uint8_t>() % 4 != 0;
    if (index < kNumSlots) {
      // A slot whose call is not answered, or that does not exist, ends the
      // session.
      is_fair = std::find(asked.begin(), asked.end(), index) == asked.end();
      Slot& slot = client->ring().slots[index];
      slot.state = static_cast<uint32_t>(SlotState::kAsked);
      slot.is_cancelled = 0;
      WriteRequest(input, slot);
    }
    client->Publish(index);
    if (index >= kNumSlots) is_fair = false;
    if (!is_fair) break;
    asked.push_back(index);
    if (!waits) continue;
    ACTSERVE_FUZZ_CHECK(client->AwaitAnswer(index));
    CheckReply(client->ring().slots[index]);
    asked.pop_back();
  }
  for (const uint32_t index : asked) {
    if (!client->AwaitAnswer(index)) {
      ACTSERVE_FUZZ_CHECK(!is_fair);
      break;
    }
    if (is_fair) CheckReply(client->ring().slots[index]);
  }
  // Whether an unfair entry was seen before its slot was answered is chance.
  if (!is_fair) client.reset();
  ACTSERVE_FUZZ_CHECK(
      services.calls.AwaitNone(absl::Now() + absl::Seconds(20)));
  if (services.engine.residuals.count() == 0) {
    ACTSERVE_FUZZ_CHECK(
        services.engine.memory.used_bytes(MemoryBudget::Half::kRequests) == 0);
  }
}

}  // namespace
}  // namespace actserve
