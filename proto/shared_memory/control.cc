#include "proto/shared_memory/control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace actserve::shared_memory {
namespace {

absl::Status Gone() {
  return absl::UnavailableError(
      absl::StrCat("the control socket: ", std::strerror(errno)));
}

// Room for more descriptors than a packet may bring, so that all are closed.
constexpr int kMaxDescriptors = 4;
union Ancillary {
  char bytes[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  cmsghdr align;
};

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::Status SendPacket(int socket, absl::string_view bytes, int fd) {
  iovec data = {const_cast<char*>(bytes.data()), bytes.size()};
  Ancillary ancillary = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = ancillary.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  }
  ssize_t count;
  do {
    count = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  return count >= 0 ? absl::OkStatus() : Gone();
}

absl::StatusOr<Packet> ReceivePacket(int socket) {
  Packet packet;
  packet.bytes.resize(kMaxPacketBytes);
  iovec data = {packet.bytes.data(), packet.bytes.size()};
  Ancillary ancillary = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes;
  message.msg_controllen = sizeof(ancillary.bytes);
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return absl::NotFoundError("no packet");
  }
  if (count < 0) return Gone();
  size_t num_descriptors = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t num_here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < num_here; ++i, ++num_descriptors) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      packet.descriptor = Descriptor(fd);
    }
  }
  // No packet is empty, so this is the end of the connection.
  if (count == 0) return absl::UnavailableError("the control socket is closed");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      num_descriptors > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a packet of more than ", kMaxPacketBytes,
                     " bytes, or than one descriptor"));
  }
  packet.bytes.resize(static_cast<size_t>(count));
  return packet;
}

}  // namespace actserve::shared_memory
