// The control socket of a server: a unix socket of packets (SOCK_SEQPACKET)
// beside that of gRPC. On it a client asks for a ring (ring.h) and offers
// regions; both travel as descriptors. A packet is a v1::ControlRequest, its
// answer a v1::ControlReply. The connection lasts as long as the client uses
// the ring: each side sees by it that the other one is gone.

#ifndef ACTSERVE_PROTO_SHARED_MEMORY_CONTROL_H_
#define ACTSERVE_PROTO_SHARED_MEMORY_CONTROL_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace actserve::shared_memory {

// Where the control socket of a server is whose unix socket is at `path`.
inline std::string ControlPath(absl::string_view path) {
  return absl::StrCat(path, ".shm");
}

// Limit on the bytes of a packet.
inline constexpr size_t kMaxPacketBytes = 8192;

// A descriptor. Move-only; closes it when destroyed.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

struct Packet {
  std::string bytes;
  // Not open: none came along.
  Descriptor descriptor;
};

// Sends a packet, and a descriptor unless `fd` is -1; does not wait.
//   Unavailable  the other side is gone, or does not read
absl::Status SendPacket(int socket, absl::string_view bytes, int fd = -1);

// Receives a packet; does not wait.
//   NotFound         none is there
//   Unavailable      the other side is gone
//   InvalidArgument  more than kMaxPacketBytes, or than one descriptor
absl::StatusOr<Packet> ReceivePacket(int socket);

}  // namespace actserve::shared_memory

#endif  // ACTSERVE_PROTO_SHARED_MEMORY_CONTROL_H_
