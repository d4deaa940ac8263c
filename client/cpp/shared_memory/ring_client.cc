#include "client/cpp/shared_memory/ring_client.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "proto/shared_memory/futex.h"
#include "proto/status.h"

namespace actserve {
namespace {

using shared_memory::Descriptor;
using shared_memory::kNumSlots;
using shared_memory::Packet;
using shared_memory::Ring;
using shared_memory::SlotState;

constexpr absl::Duration kControlTimeout = absl::Seconds(1);
// How late a caller notices that the server is gone, that its deadline has
// passed, or that it was cancelled.
constexpr absl::Duration kLook = absl::Milliseconds(100);
constexpr absl::Duration kLookForCancellation = absl::Milliseconds(5);
// What the server may take to say that a deadline has passed.
constexpr absl::Duration kGrace = absl::Seconds(1);

absl::Status Gone(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("shared memory: ", what));
}

}  // namespace

absl::StatusOr<std::shared_ptr<RingClient>> RingClient::Connect(
    const std::string& path, absl::string_view authorization,
    absl::Time deadline) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Gone("the path is too long");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // One that would wait would do so for as long as nobody accepts it.
  Descriptor socket(
      ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open() ||
      connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return Gone(std::strerror(errno));
  }
  v1::ControlRequest request;
  request.mutable_hello()->set_version(shared_memory::kVersion);
  request.mutable_hello()->set_authorization(std::string(authorization));
  ACTSERVE_ASSIGN_OR_RETURN(const auto answer,
                            Ask(socket.get(), request, -1, deadline));
  const Descriptor& ring = answer.second;
  struct stat info = {};
  if (!ring.is_open() || fstat(ring.get(), &info) != 0 ||
      info.st_size < static_cast<off_t>(sizeof(Ring))) {
    return Gone("the server sent no ring");
  }
  void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                            MAP_SHARED, ring.get(), 0);
  if (memory == MAP_FAILED) return Gone(std::strerror(errno));
  return std::shared_ptr<RingClient>(
      new RingClient(std::move(socket), static_cast<Ring*>(memory)));
}

RingClient::RingClient(Descriptor socket, Ring* ring)
    : socket_(std::move(socket)), ring_(ring) {
  for (uint32_t i = 0; i < kNumSlots; ++i) free_.push_back(kNumSlots - 1 - i);
}

RingClient::~RingClient() {
  {
    absl::MutexLock lock(&mu_);
    TakeBackAbandoned();
    // The server may answer yet, where it only stood still.
    for (Abandoned& each : abandoned_) {
      for (SharedPool::Block& block : each.blocks) block.Retire();
    }
  }
  munmap(ring_, sizeof(Ring));
}

absl::StatusOr<std::pair<v1::ControlReply, Descriptor>> RingClient::Ask(
    int socket, const v1::ControlRequest& request, int fd,
    absl::Time deadline) {
  const absl::Time end = std::min(deadline, absl::Now() + kControlTimeout);
  ACTSERVE_RETURN_IF_ERROR(
      shared_memory::SendPacket(socket, request.SerializeAsString(), fd));
  pollfd polled = {socket, POLLIN, 0};
  int count;
  do {
    const absl::Duration left =
        std::max(end - absl::Now(), absl::ZeroDuration());
    count =
        poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
  } while (count < 0 && errno == EINTR);
  if (count == 0) return Gone("the server does not answer");
  ACTSERVE_ASSIGN_OR_RETURN(Packet packet,
                            shared_memory::ReceivePacket(socket));
  v1::ControlReply reply;
  if (!reply.ParseFromString(packet.bytes)) {
    return Gone("the server's answer does not parse");
  }
  if (reply.has_error()) return FromProto(reply.error());
  return std::pair(std::move(reply), std::move(packet.descriptor));
}

bool RingClient::is_open() const {
  return !is_gone_ && ring_->is_closed.load() == 0;
}

absl::StatusOr<uint32_t> RingClient::NumberOf(
    const SharedPool::RegionPtr& region) {
  absl::MutexLock lock(&control_mu_);
  const auto found = offered_.find(region.get());
  if (found != offered_.end() && !found->second.region.expired()) {
    return found->second.number;
  }
  if (is_gone_) return Gone("the server does not answer");
  v1::ControlRequest request;
  request.mutable_offer_region();
  ACTSERVE_ASSIGN_OR_RETURN(const uint32_t number,
                            Offer(request, region->fd()));
  offered_[region.get()] = {region, number};
  return number;
}

absl::StatusOr<uint32_t> RingClient::NumberOf(
    const DeviceAllocations::Allocation& allocation) {
  absl::MutexLock lock(&control_mu_);
  const auto found = offered_allocations_.find(allocation.handle);
  if (found != offered_allocations_.end()) return found->second;
  v1::ControlRequest request;
  auto& offer = *request.mutable_offer_device_memory();
  offer.set_device_uuid(allocation.device_uuid);
  offer.set_handle(allocation.handle);
  ACTSERVE_ASSIGN_OR_RETURN(const uint32_t number, Offer(request, -1));
  offered_allocations_[allocation.handle] = number;
  return number;
}

void RingClient::Forget(const DeviceAllocations::Allocation& allocation) {
  absl::MutexLock lock(&control_mu_);
  const auto found = offered_allocations_.find(allocation.handle);
  if (found == offered_allocations_.end()) return;
  Forget(found->second);
  offered_allocations_.erase(found);
}

absl::StatusOr<uint32_t> RingClient::Offer(const v1::ControlRequest& request,
                                           int fd) {
  const auto answer = Ask(socket_.get(), request, fd);
  if (!answer.ok()) {
    // An answer that comes later would be taken for that of another question.
    if (absl::IsUnavailable(answer.status())) is_gone_ = true;
    return answer.status();
  }
  return answer->first.region();
}

void RingClient::Forget(uint32_t number) {
  v1::ControlRequest request;
  request.mutable_forget_region()->set_region(number);
  if (!Ask(socket_.get(), request, -1).ok()) is_gone_ = true;
}

void RingClient::ForgetRegionsGone(uint64_t num_gone) {
  if (num_forgotten_.exchange(num_gone) == num_gone) return;
  absl::MutexLock lock(&control_mu_);
  std::vector<uint32_t> numbers;
  absl::erase_if(offered_, [&](const auto& each) {
    if (!each.second.region.expired()) return false;
    numbers.push_back(each.second.number);
    return true;
  });
  for (const uint32_t number : numbers) Forget(number);
}

std::optional<RingClient::Turn> RingClient::Take(absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  TakeBackAbandoned();
  const auto has_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !free_.empty();
  };
  if (!mu_.AwaitWithDeadline(absl::Condition(&has_free), deadline)) {
    return std::nullopt;
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  return Turn(shared_from_this(), index);
}

void RingClient::TakeBackAbandoned() {
  std::erase_if(abandoned_,
                [this](const Abandoned& each)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
                      if (ring_->slots[each.index].state.load() !=
                          static_cast<uint32_t>(SlotState::kAnswered)) {
                        return false;
                      }
                      free_.push_back(each.index);
                      return true;
                    });
}

void RingClient::Publish(uint32_t index) {
  {
    absl::MutexLock lock(&publish_mu_);
    const uint32_t next = ring_->num_published.load(std::memory_order_relaxed);
    ring_->order[next % kNumSlots].store(index, std::memory_order_relaxed);
    ring_->num_published.store(next + 1);
  }
  if (ring_->server_sleeps.load() != 0) {
    shared_memory::Wake(ring_->num_published);
  }
}

bool RingClient::Turn::IsAnswered() {
  return slot().state.load(std::memory_order_acquire) ==
         static_cast<uint32_t>(SlotState::kAnswered);
}

absl::Status RingClient::Turn::Call(const CallBounds& bounds,
                                    bool may_abandon) {
  shared_memory::Slot& slot = this->slot();
  slot.is_cancelled.store(0, std::memory_order_relaxed);
  slot.request.deadline_nanos = absl::ToUnixNanos(bounds.deadline);
  slot.state = static_cast<uint32_t>(SlotState::kAsked);
  ring_->Publish(index_);
  const absl::Time start = absl::Now();
  if (ring_->num_spinning_.fetch_add(1) == 0) {
    ring_->spin_.Until([this] { return IsAnswered(); });
  }
  ring_->num_spinning_.fetch_sub(1);
  const bool sleeps = !IsAnswered();
  while (!IsAnswered()) {
    const absl::Duration look =
        bounds.is_cancelled != nullptr ? kLookForCancellation : kLook;
    slot.sleeps = 1;
    if (!IsAnswered()) {
      shared_memory::SleepOn(slot.state,
                             static_cast<uint32_t>(SlotState::kAsked), look);
    }
    slot.sleeps = 0;
    if (IsAnswered()) break;
    pollfd polled = {ring_->socket_.get(), 0, 0};
    if (poll(&polled, 1, 0) > 0) {
      // The server may have answered before it went.
      if (IsAnswered()) break;
      ring_->is_gone_ = true;
      return Gone("the server is gone");
    }
    const absl::Time now = absl::Now();
    if (now > bounds.deadline ||
        (bounds.is_cancelled != nullptr && bounds.is_cancelled())) {
      slot.is_cancelled = 1;
    }
    if (now > bounds.deadline + kGrace && may_abandon) {
      is_abandoned_ = true;
      return absl::DeadlineExceededError("the server did not answer");
    }
  }
  if (sleeps) ring_->spin_.Slept(absl::Now() - start);
  return absl::OkStatus();
}

RingClient::Turn::~Turn() {
  if (ring_ == nullptr) return;
  absl::MutexLock lock(&ring_->mu_);
  if (is_abandoned_) {
    ring_->abandoned_.push_back({index_, std::move(blocks_)});
  } else {
    ring_->free_.push_back(index_);
  }
}

}  // namespace actserve
