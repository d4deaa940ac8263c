#include "server/shared_memory/session.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "proto/shared_memory/futex.h"
#include "proto/status.h"
#include "server/identity/unix_peer.h"
#include "server/observe/log.h"
#include "server/scheduling/retry_after.h"
#include "server/shared_memory/request_copy.h"
#include "server/shared_memory/shared_call.h"

namespace actserve {
namespace {

using shared_memory::Descriptor;
using shared_memory::kInSlot;
using shared_memory::kNumSlots;
using shared_memory::kSlotBytes;
using shared_memory::Ring;
using shared_memory::Slot;

// How long a thread sleeps when nobody wakes it.
constexpr absl::Duration kLongestSleep = absl::Seconds(1);

absl::Status NoMemory(absl::string_view what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot make a ring: ", what, ": ", std::strerror(errno)));
}

// Writes a reply into a slot. Reads nothing there: the client may change it.
class ReplyWriter {
 public:
  explicit ReplyWriter(Slot& slot) : slot_(slot) {}

  // Appends bytes of the message. False if they do not fit.
  bool Write(const void* data, size_t size_bytes) {
    if (size_bytes == 0) return true;
    if (size_bytes > kSlotBytes - used_) return false;
    std::memcpy(slot_.bytes.data() + used_, data, size_bytes);
    used_ += size_bytes;
    return AddPiece({.region = kInSlot, .size_bytes = size_bytes});
  }

  // Appends what is in the output of that index.
  bool AddOutput(size_t output, size_t size_bytes) {
    return AddPiece({.region = static_cast<uint32_t>(1 + output),
                     .size_bytes = size_bytes});
  }

  void End(shared_memory::Answer answer) {
    slot_.reply.answer = answer;
    slot_.reply.num_pieces = num_pieces_;
  }

 private:
  bool AddPiece(const shared_memory::Piece& piece) {
    if (num_pieces_ == shared_memory::kMaxPieces) return false;
    slot_.reply.pieces[num_pieces_++] = piece;
    return true;
  }

  Slot& slot_;
  size_t used_ = 0;
  uint32_t num_pieces_ = 0;
};

// Writes `response` to the slot, and its tensors to the outputs where they fit
// one. False if some of it fits nowhere.
bool WriteMessage(const EncodedResponse& response,
                  absl::Span<const absl::Span<std::byte>> outputs,
                  uint32_t device_outputs, Slot& slot) {
  ReplyWriter writer(slot);
  size_t next = 0;
  for (const EncodedResponse::Piece& piece : response.pieces) {
    if (!writer.Write(piece.bytes.data(), piece.bytes.size())) return false;
    const std::byte* const data = piece.buffer.data();
    const size_t size_bytes = piece.buffer.size_bytes();
    if (size_bytes == 0) continue;
    const auto fits = [&](size_t output) {
      const bool may_write = (device_outputs >> output & 1) == 0;
      return outputs[output].size() == size_bytes &&
             (may_write || outputs[output].data() == data);
    };
    size_t output = next;
    while (output < outputs.size() && !fits(output)) ++output;
    if (output == outputs.size()) {
      if (!writer.Write(data, size_bytes)) return false;
      continue;
    }
    // Most were computed there.
    if (outputs[output].data() != data) {
      std::memmove(outputs[output].data(), data, size_bytes);
    }
    if (!writer.AddOutput(output, size_bytes)) return false;
    next = output + 1;
  }
  writer.End(shared_memory::Answer::kMessage);
  return true;
}

// Of an answer that has one piece, which is in the output, in the slot, or
// nowhere yet.
void EndWithPiece(shared_memory::Answer answer,
                  const shared_memory::Piece& piece, Slot& slot) {
  slot.reply.answer = answer;
  slot.reply.num_pieces = 1;
  slot.reply.pieces[0] = piece;
}

void Copy(const EncodedResponse& response, std::byte* to) {
  for (const EncodedResponse::Piece& piece : response.pieces) {
    std::memcpy(to, piece.bytes.data(), piece.bytes.size());
    to += piece.bytes.size();
    if (piece.buffer.size_bytes() == 0) continue;
    std::memcpy(to, piece.buffer.data(), piece.buffer.size_bytes());
    to += piece.buffer.size_bytes();
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> Session::Start(
    const SessionServices& services, RegionBudget* budget, uid_t uid,
    std::string authorization, std::function<void()> on_broken) {
  Descriptor fd(memfd_create("actserve-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) return NoMemory("memfd_create");
  if (ftruncate(fd.get(), sizeof(Ring)) != 0) return NoMemory("ftruncate");
  // The client cannot take it away from under this process.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
      0) {
    return NoMemory("F_ADD_SEALS");
  }
  void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                            MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return NoMemory("mmap");
  auto session = std::shared_ptr<Session>(
      new Session(services, budget, uid, std::move(authorization),
                  std::move(on_broken), std::move(fd), new (memory) Ring));
  try {
    session->thread_ = std::thread([raw = session.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread: ", error.what()));
  }
  return session;
}

Session::Session(const SessionServices& services, RegionBudget* budget,
                 uid_t uid, std::string authorization,
                 std::function<void()> on_broken, Descriptor ring_fd,
                 Ring* ring)
    : services_(services),
      budget_(*budget),
      uid_(uid),
      authorization_(std::move(authorization)),
      on_broken_(std::move(on_broken)),
      ring_fd_(std::move(ring_fd)),
      ring_(ring) {}

Session::~Session() { munmap(ring_, sizeof(Ring)); }

absl::StatusOr<uint32_t> Session::AddRegion(const Descriptor& fd) {
  absl::MutexLock lock(&mu_);
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<const Region> region,
                            Region::Map(fd, uid_, region_bytes_, &budget_));
  for (const auto& [number, known] : regions_) {
    if (!known->is_on_device() && known->identity() == region->identity()) {
      return number;
    }
  }
  if (regions_.size() - device_regions_.size() == kMaxRegions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a client shares at most ", kMaxRegions, " regions"));
  }
  region_bytes_ += static_cast<int64_t>(region->size_bytes());
  regions_.emplace(next_region_, std::move(region));
  return next_region_++;
}

absl::StatusOr<uint32_t> Session::AddDeviceRegion(absl::string_view uuid,
                                                  absl::string_view handle) {
  if (services_.device_budget == nullptr) {
    return absl::FailedPreconditionError(
        "the server takes no device memory (--shared_device_memory)");
  }
  absl::MutexLock lock(&mu_);
  const auto known = device_regions_.find(handle);
  if (known != device_regions_.end()) return known->second;
  if (device_regions_.size() == kMaxDeviceRegions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a client shares at most ", kMaxDeviceRegions,
                     " allocations of device memory"));
  }
  ACTSERVE_ASSIGN_OR_RETURN(auto memory,
                            services_.parts.device.OpenMemory(uuid, handle));
  ACTSERVE_ASSIGN_OR_RETURN(
      std::shared_ptr<const Region> region,
      Region::OfDevice(std::move(memory), services_.device_budget));
  regions_.emplace(next_region_, std::move(region));
  device_regions_.emplace(std::string(handle), next_region_);
  return next_region_++;
}

void Session::ForgetRegion(uint32_t number) {
  absl::MutexLock lock(&mu_);
  const auto found = regions_.find(number);
  if (found == regions_.end()) return;
  if (found->second->is_on_device()) {
    absl::erase_if(device_regions_, [number](const auto& each) {
      return each.second == number;
    });
  } else {
    region_bytes_ -= static_cast<int64_t>(found->second->size_bytes());
  }
  regions_.erase(found);
}

std::shared_ptr<const Region> Session::FindRegion(uint32_t number) {
  absl::MutexLock lock(&mu_);
  const auto found = regions_.find(number);
  return found != regions_.end() ? found->second : nullptr;
}

void Session::Refuse() { ring_->is_closed = 1; }

void Session::Close() {
  Refuse();
  is_closed_ = true;
  // It may be about to fall asleep.
  while (!has_ended_) {
    shared_memory::Wake(ring_->num_published);
    absl::SleepFor(absl::Microseconds(100));
  }
  thread_.join();
}

absl::StatusOr<CallerId> Session::Admit(Role role) const {
  const auto connection = reinterpret_cast<uintptr_t>(this);
  if (services_.authenticator == nullptr) {
    return CallerId{.peer = UnixPeer(), .connection = connection};
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      const Identity identity,
      services_.authenticator->Authorize(
          {.is_unix_socket = true, .authorization = authorization_}, role));
  return CallerId{.peer = identity.tenant->number(),
                  .connection = connection,
                  .tenant = identity.tenant};
}

void Session::Run() {
  uint32_t seen = 0;
  shared_memory::Spin spin;
  while (!is_closed()) {
    const auto has_more = [&] {
      return ring_->num_published.load(std::memory_order_acquire) != seen ||
             is_closed();
    };
    const absl::Time start = absl::Now();
    if (!spin.Until(has_more)) {
      ring_->server_sleeps = 1;
      // A client that publishes from here on sees that it must wake us.
      if (!has_more()) {
        shared_memory::SleepOn(ring_->num_published, seen, kLongestSleep);
      }
      ring_->server_sleeps = 0;
      spin.Slept(absl::Now() - start);
      continue;
    }
    const uint32_t published =
        ring_->num_published.load(std::memory_order_acquire);
    bool is_sound = published - seen <= kNumSlots;
    for (; is_sound && seen != published && !is_closed(); ++seen) {
      is_sound = Take(ring_->order[seen % kNumSlots].load());
    }
    if (!is_sound) {
      LogEvent(LogLevel::kWarning, "ring_broken", {{"uid", int64_t{uid_}}});
      Refuse();
      on_broken_();
      break;
    }
  }
  has_ended_ = true;
}

bool Session::Take(uint32_t index) {
  if (index >= kNumSlots || is_busy_[index].exchange(true)) return false;
  const absl::StatusOr<shared_memory::Request> request =
      CopyRequest(ring_->slots[index].request);
  if (!request.ok()) {
    Fail(index, request.status());
    return true;
  }
  if (request->operation == shared_memory::Operation::kFetch) {
    Fetch(index, *request);
    return true;
  }
  waiting_[index].reset();
  if (request->operation == shared_memory::Operation::kDrop) {
    ReplyWriter(ring_->slots[index]).End(shared_memory::Answer::kMessage);
    Publish(index);
    return true;
  }
  SharedCall::Start(shared_from_this(), index, *request);
  return true;
}

void Session::Fetch(uint32_t index, const shared_memory::Request& request) {
  if (!waiting_[index].has_value()) {
    return Fail(index, absl::FailedPreconditionError(
                           "no answer of this slot waits to be fetched"));
  }
  const EncodedResponse response = *std::move(waiting_[index]);
  waiting_[index].reset();
  const size_t size_bytes = response.size_bytes();
  const shared_memory::Piece& output = request.outputs[0];
  const std::shared_ptr<const Region> region = FindRegion(output.region);
  const bool fits = request.num_outputs == 1 && output.size_bytes >= size_bytes;
  std::byte* const to = fits && region != nullptr && !region->is_on_device()
                            ? region->At(output.offset, size_bytes)
                            : nullptr;
  if (to == nullptr) {
    return Fail(index, absl::InvalidArgumentError(absl::StrCat(
                           "an answer of ", size_bytes,
                           " bytes is fetched to one output of as many in a "
                           "region of host memory")));
  }
  Copy(response, to);
  EndWithPiece(shared_memory::Answer::kMessage,
               {.region = 1, .size_bytes = size_bytes}, ring_->slots[index]);
  Publish(index);
}

void Session::Answer(uint32_t index, EncodedResponse response,
                     absl::Span<const absl::Span<std::byte>> outputs,
                     uint32_t device_outputs) {
  Slot& slot = ring_->slots[index];
  if (!WriteMessage(response, outputs, device_outputs, slot)) {
    EndWithPiece(shared_memory::Answer::kNeedsRoom,
                 {.size_bytes = response.size_bytes()}, slot);
    waiting_[index] = std::move(response);
  }
  Publish(index);
}

void Session::Fail(uint32_t index, const absl::Status& status) {
  Slot& slot = ring_->slots[index];
  absl::Status told = status;
  told.ErasePayload(kRetryAfterType);
  std::string bytes = ToProto(told).SerializeAsString();
  if (bytes.size() > kSlotBytes) {
    v1::Status cut;
    cut.set_code(static_cast<int>(status.code()));
    cut.set_message(std::string(status.message().substr(0, kSlotBytes / 2)));
    bytes = cut.SerializeAsString();
  }
  std::memcpy(slot.bytes.data(), bytes.data(), bytes.size());
  EndWithPiece(shared_memory::Answer::kError, {.size_bytes = bytes.size()},
               slot);
  Publish(index);
}

void Session::Publish(uint32_t index) {
  Slot& slot = ring_->slots[index];
  is_busy_[index] = false;
  slot.state = static_cast<uint32_t>(shared_memory::SlotState::kAnswered);
  if (slot.sleeps.load() != 0) shared_memory::Wake(slot.state);
}

}  // namespace actserve
