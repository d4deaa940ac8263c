#include "server/testing/ring_peer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "actserve/v1/service.pb.h"
#include "proto/payload_field.h"
#include "proto/shared_memory/futex.h"

namespace actserve::testing {

using shared_memory::Descriptor;
using shared_memory::kNumSlots;
using shared_memory::Packet;
using shared_memory::Piece;
using shared_memory::Request;
using shared_memory::Ring;
using shared_memory::Slot;
using shared_memory::SlotState;

namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

// `value` as a protobuf varint.
void AppendVarint(uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) {
    bytes.push_back(static_cast<char>(value | 0x80));
  }
  bytes.push_back(static_cast<char>(value));
}

}  // namespace

Descriptor MakeRegion(size_t size_bytes, int seals) {
  Descriptor fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0 ||
      (seals != 0 && fcntl(fd.get(), F_ADD_SEALS, seals) != 0)) {
    return Descriptor();
  }
  return fd;
}

RingPeer::RingPeer(const std::string& unix_address)
    : socket_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  const std::string path =
      shared_memory::ControlPath(absl::StripPrefix(unix_address, "unix:"));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    socket_ = Descriptor();
  }
}

RingPeer::~RingPeer() {
  if (ring_ != nullptr) munmap(ring_, sizeof(Ring));
}

bool RingPeer::IsConnected() const {
  pollfd polled = {socket_.get(), 0, 0};
  return socket_.is_open() && poll(&polled, 1, 0) == 0;
}

bool RingPeer::AwaitClosed() const {
  const absl::Time end = absl::Now() + kPatience;
  while (IsConnected() && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  return !IsConnected();
}

void RingPeer::Send(absl::string_view packet, int fd) {
  (void)shared_memory::SendPacket(socket_.get(), packet, fd);
}

std::optional<v1::ControlReply> RingPeer::Ask(const v1::ControlRequest& request,
                                              int fd) {
  Send(request.SerializeAsString(), fd);
  pollfd polled = {socket_.get(), POLLIN, 0};
  poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience)));
  const absl::StatusOr<Packet> packet =
      shared_memory::ReceivePacket(socket_.get());
  v1::ControlReply reply;
  if (!packet.ok() || !reply.ParseFromString(packet->bytes)) {
    return std::nullopt;
  }
  if (packet->descriptor.is_open() && ring_ == nullptr) {
    ring_ =
        static_cast<Ring*>(mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                                MAP_SHARED, packet->descriptor.get(), 0));
  }
  return reply;
}

bool RingPeer::Greet() {
  v1::ControlRequest request;
  request.mutable_hello()->set_version(shared_memory::kVersion);
  const std::optional<v1::ControlReply> reply = Ask(request);
  return reply && !reply->has_error() && ring_ != nullptr;
}

uint32_t RingPeer::Offer(int fd) {
  v1::ControlRequest request;
  request.mutable_offer_region();
  const std::optional<v1::ControlReply> reply = Ask(request, fd);
  return reply ? reply->region() : 0;
}

void RingPeer::Publish(uint32_t index) {
  const uint32_t next = ring_->num_published.load();
  ring_->order[next % kNumSlots] = index;
  ring_->num_published = next + 1;
  shared_memory::Wake(ring_->num_published);
}

bool RingPeer::Call(uint32_t index, const Request& request) {
  Slot& slot = ring_->slots[index];
  slot.request = request;
  slot.state = static_cast<uint32_t>(SlotState::kAsked);
  Publish(index);
  const absl::Time end = absl::Now() + kPatience;
  while (slot.state != static_cast<uint32_t>(SlotState::kAnswered)) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Microseconds(20));
  }
  return true;
}

std::string RingPeer::MessageOf(uint32_t index) {
  const Slot& slot = ring_->slots[index];
  size_t size_bytes = 0;
  for (uint32_t i = 0; i < slot.reply.num_pieces; ++i) {
    size_bytes += slot.reply.pieces[i].size_bytes;
  }
  return {reinterpret_cast<const char*>(slot.bytes.data()), size_bytes};
}

v1::Status RingPeer::ErrorOf(uint32_t index) {
  const Slot& slot = ring_->slots[index];
  v1::Status status;
  if (slot.reply.answer == shared_memory::Answer::kError) {
    status.ParseFromArray(slot.bytes.data(),
                          static_cast<int>(slot.reply.pieces[0].size_bytes));
  }
  return status;
}

Request RingPeer::ReluRequest(uint32_t index, const Piece& tensor) {
  v1::ForwardRequest message;
  message.set_activation("relu");
  v1::Tensor& input = *message.add_inputs();
  input.set_dtype(v1::DTYPE_FLOAT32);
  input.add_shape(static_cast<int64_t>(tensor.size_bytes / sizeof(float)));
  std::string head = message.SerializeAsString();
  AppendVarint(kPayloadField << 3 | 2, head);
  AppendVarint(tensor.size_bytes, head);
  std::memcpy(ring_->slots[index].bytes.data(), head.data(), head.size());
  Request request;
  request.num_pieces = 2;
  request.pieces[0] = {.size_bytes = head.size()};
  request.pieces[1] = tensor;
  request.deadline_nanos = absl::ToUnixNanos(absl::Now() + absl::Minutes(1));
  return request;
}

}  // namespace actserve::testing
