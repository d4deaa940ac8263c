#include "server/testing/http2_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace actserve::testing {
namespace {

// RFC 9113, sections 6 and 11.2.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
};
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint16_t kInitialWindowSize = 4;
constexpr size_t kFrameHeaderBytes = 9;
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Sent at once, so that small frames do not cost a system call each.
constexpr size_t kBatchBytes = size_t{256} << 10;

std::string BigEndian(uint64_t value, int num_bytes) {
  std::string bytes;
  for (int i = num_bytes - 1; i >= 0; --i) {
    bytes.push_back(static_cast<char>(value >> (8 * i)));
  }
  return bytes;
}

uint32_t FromBigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) {
    value = value << 8 | static_cast<unsigned char>(byte);
  }
  return value;
}

// A header as a literal that enters no table (RFC 7541, section 6.2.2). Name
// and value are shorter than 127 bytes.
std::string Literal(absl::string_view name, absl::string_view value) {
  return absl::StrCat(absl::string_view("\0", 1), BigEndian(name.size(), 1),
                      name, BigEndian(value.size(), 1), value);
}

std::string HeadersOf(absl::string_view method) {
  return absl::StrCat(Literal(":method", "POST"), Literal(":scheme", "http"),
                      Literal(":path", method), Literal(":authority", "test"),
                      Literal("te", "trailers"),
                      Literal("content-type", "application/grpc"));
}

absl::Status Closed(absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("connection closed: ", why));
}

absl::StatusOr<sockaddr_storage> ParseAddress(absl::string_view text) {
  sockaddr_storage storage = {};
  if (absl::string_view path = text; absl::ConsumePrefix(&path, "unix:")) {
    auto& address = reinterpret_cast<sockaddr_un&>(storage);
    address.sun_family = AF_UNIX;
    if (path.size() < sizeof(address.sun_path)) {
      path.copy(address.sun_path, path.size());
      return storage;
    }
  }
  auto& address = reinterpret_cast<sockaddr_in&>(storage);
  address.sin_family = AF_INET;
  const std::pair<std::string, std::string> host_port =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  int port = 0;
  if (!absl::SimpleAtoi(host_port.second, &port) ||
      inet_pton(AF_INET, host_port.first.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " is no IPv4 address and port, and no unix socket"));
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  return storage;
}

// Its owner closes it.
absl::StatusOr<int> ConnectedSocket(absl::string_view text) {
  const absl::StatusOr<sockaddr_storage> address = ParseAddress(text);
  if (!address.ok()) return address.status();
  const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Closed(std::strerror(errno));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&*address),
              address->ss_family == AF_UNIX ? sizeof(sockaddr_un)
                                            : sizeof(sockaddr_in)) != 0) {
    const int error = errno;
    close(fd);
    return Closed(std::strerror(error));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Http2Client>> Http2Client::Connect(
    const std::string& address, const Options& options) {
  absl::StatusOr<int> fd = ConnectedSocket(address);
  if (!fd.ok()) return fd.status();
  std::unique_ptr<Http2Client> client(new Http2Client(*fd, options));
  const int on = 1;  // fails on a unix socket, which needs it not
  setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  client->to_send_ = std::string(kPreface);
  client->Append(kSettings, 0, 0,
                 absl::StrCat(BigEndian(kInitialWindowSize, 2),
                              BigEndian(options.window_bytes, 4)));
  if (absl::Status status = client->Flush(); !status.ok()) return status;
  return client;
}

Http2Client::~Http2Client() { close(fd_); }

absl::StatusOr<uint32_t> Http2Client::StartCall(absl::string_view method) {
  const uint32_t stream = std::exchange(next_stream_, next_stream_ + 2);
  streams_[stream].window_bytes = initial_window_bytes_;
  Append(kHeaders, kEndHeaders, stream, HeadersOf(method));
  if (absl::Status status = Flush(); !status.ok()) return status;
  return stream;
}

absl::Status Http2Client::Send(uint32_t stream, absl::string_view body,
                               bool is_last, size_t frame_bytes) {
  while (true) {
    const auto it = streams_.find(stream);
    if (it == streams_.end()) return absl::CancelledError("the stream ended");
    Stream& state = it->second;
    if (state.is_reset) {
      const uint32_t code = state.reset_code;
      streams_.erase(it);
      return absl::CancelledError(absl::StrCat("stream reset, code ", code));
    }
    const size_t size_bytes = std::min(frame_bytes, body.size());
    const auto window_bytes = std::min(window_bytes_, state.window_bytes);
    if (static_cast<int64_t>(size_bytes) > window_bytes) {
      absl::Status status = Flush();
      if (status.ok()) status = Await(false, options_.patience);
      if (!status.ok()) return status;
      continue;
    }
    const bool ends = is_last && size_bytes == body.size();
    Append(kData, ends ? kEndStream : 0, stream, body.substr(0, size_bytes));
    window_bytes_ -= static_cast<int64_t>(size_bytes);
    state.window_bytes -= static_cast<int64_t>(size_bytes);
    body.remove_prefix(size_bytes);
    if (body.empty()) {
      if (ends) streams_.erase(it);
      return Flush();
    }
    if (to_send_.size() >= kBatchBytes) {
      if (absl::Status status = Flush(); !status.ok()) return status;
    }
  }
}

absl::Status Http2Client::Call(absl::string_view method,
                               absl::string_view message, size_t frame_bytes) {
  const absl::StatusOr<uint32_t> stream = StartCall(method);
  if (!stream.ok()) return stream.status();
  return Send(*stream, WithPrefix(message, message.size()), /*is_last=*/true,
              frame_bytes);
}

absl::Status Http2Client::ReadFor(absl::Duration quiet) {
  while (true) {
    absl::Status status = Await(false, quiet);
    if (absl::IsDeadlineExceeded(status)) return Flush();
    if (!status.ok()) return status;
  }
}

void Http2Client::Append(uint8_t type, uint8_t flags, uint32_t stream,
                         absl::string_view payload) {
  absl::StrAppend(&to_send_, BigEndian(payload.size(), 3), BigEndian(type, 1),
                  BigEndian(flags, 1), BigEndian(stream, 4), payload);
}

absl::Status Http2Client::Flush() {
  size_t sent = 0;
  absl::Status status;
  // Reading may append answers to PINGs.
  while (status.ok() && sent < to_send_.size()) {
    const ssize_t count =
        send(fd_, to_send_.data() + sent, to_send_.size() - sent,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      status = Await(true, options_.patience);
    } else if (errno != EINTR) {
      status = Closed(std::strerror(errno));
    }
  }
  to_send_.erase(0, sent);
  return status;
}

absl::Status Http2Client::Await(bool also_writable, absl::Duration timeout) {
  pollfd polled = {fd_, POLLIN, 0};
  if (also_writable) polled.events |= POLLOUT;
  const int count =
      poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (count == 0) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the server did nothing for ", absl::FormatDuration(timeout)));
  }
  if (count < 0) return absl::OkStatus();  // a signal
  return (polled.revents & ~POLLOUT) != 0 ? ReadSocket() : absl::OkStatus();
}

absl::Status Http2Client::ReadSocket() {
  char bytes[65536];
  const ssize_t count = recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (count == 0) return Closed("end of file");
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR ? absl::OkStatus()
                                             : Closed(std::strerror(errno));
  }
  received_.append(bytes, static_cast<size_t>(count));
  absl::string_view left = received_;
  absl::Status status;
  while (status.ok() && left.size() >= kFrameHeaderBytes) {
    const size_t size_bytes = FromBigEndian(left.substr(0, 3));
    if (left.size() < kFrameHeaderBytes + size_bytes) break;
    status =
        OnFrame(static_cast<uint8_t>(left[3]), static_cast<uint8_t>(left[4]),
                FromBigEndian(left.substr(5, 4)),
                left.substr(kFrameHeaderBytes, size_bytes));
    left.remove_prefix(kFrameHeaderBytes + size_bytes);
  }
  received_.erase(0, received_.size() - left.size());
  return status;
}

absl::Status Http2Client::OnFrame(uint8_t type, uint8_t flags, uint32_t stream,
                                  absl::string_view payload) {
  switch (type) {
    case kData:
    case kHeaders:
      if ((flags & kEndStream) != 0) ++num_ended_;
      // The connection's window never closes; a stream's does for good.
      if (type == kData && !payload.empty()) {
        Append(kWindowUpdate, 0, 0, BigEndian(payload.size(), 4));
      }
      break;
    case kResetStream:
      ++num_reset_;
      if (auto it = streams_.find(stream); it != streams_.end()) {
        it->second.is_reset = true;
        it->second.reset_code = FromBigEndian(payload);
      }
      break;
    case kSettings:
      if ((flags & kAck) != 0) break;
      OnSettings(payload);
      if (options_.ack_settings) Append(kSettings, kAck, 0, "");
      break;
    case kPing:
      if ((flags & kAck) == 0) Append(kPing, kAck, 0, payload);
      break;
    case kGoAway:
      return Closed(
          absl::StrCat("GOAWAY, code ", FromBigEndian(payload.substr(4, 4))));
    case kWindowUpdate:
      if (stream == 0) {
        window_bytes_ += FromBigEndian(payload);
      } else if (auto it = streams_.find(stream); it != streams_.end()) {
        it->second.window_bytes += FromBigEndian(payload);
      }
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

void Http2Client::OnSettings(absl::string_view payload) {
  for (; payload.size() >= 6; payload.remove_prefix(6)) {
    if (FromBigEndian(payload.substr(0, 2)) != kInitialWindowSize) continue;
    const int64_t window_bytes = FromBigEndian(payload.substr(2, 4));
    for (auto& [number, stream] : streams_) {
      stream.window_bytes += window_bytes - initial_window_bytes_;
    }
    initial_window_bytes_ = window_bytes;
  }
}

std::string WithPrefix(absl::string_view message, size_t size_bytes) {
  return absl::StrCat(BigEndian(0, 1), BigEndian(size_bytes, 4), message);
}

}  // namespace actserve::testing
