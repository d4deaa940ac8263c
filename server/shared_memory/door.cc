#include "server/shared_memory/door.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "proto/status.h"
#include "server/listen/unix_socket.h"
#include "server/observe/log.h"

namespace actserve {

using shared_memory::Descriptor;
using shared_memory::Packet;

namespace {

// After a connection that could not be accepted.
constexpr absl::Duration kPause = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<std::unique_ptr<SharedMemoryDoor>> SharedMemoryDoor::Start(
    const Options& options, const Services& services) {
  ACTSERVE_RETURN_IF_ERROR(PrepareUnixSocket(options.path, SOCK_SEQPACKET));
  ACTSERVE_ASSIGN_OR_RETURN(
      ListeningSocket listener,
      ListeningSocket::OpenUnix(options.path,
                                /*for_all_users=*/!options.users.empty(),
                                SOCK_SEQPACKET));
  Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) {
    return absl::UnavailableError(
        absl::StrCat("eventfd: ", std::strerror(errno)));
  }
  auto door = std::unique_ptr<SharedMemoryDoor>(new SharedMemoryDoor(
      options, services, std::move(listener), std::move(wake)));
  door->thread_ = std::thread([raw = door.get()] { raw->Run(); });
  return door;
}

SharedMemoryDoor::SharedMemoryDoor(const Options& options,
                                   const Services& services,
                                   ListeningSocket listener, Descriptor wake)
    : options_(options),
      budget_(options.max_bytes),
      services_{services.parts,
                calls_,
                services.metrics,
                services.observer,
                services.authenticator,
                options.device_memory ? &device_budget_ : nullptr},
      listener_(std::move(listener)),
      wake_(std::move(wake)) {}

SharedMemoryDoor::~SharedMemoryDoor() { Shutdown(); }

void SharedMemoryDoor::Refuse() {
  is_refusing_ = true;
  calls_.Close();
  eventfd_write(wake_.get(), 1);
}

bool SharedMemoryDoor::AwaitCalls(absl::Duration timeout) {
  return calls_.AwaitNone(absl::Now() + timeout);
}

void SharedMemoryDoor::Shutdown() {
  if (!thread_.joinable()) return;
  Refuse();
  is_stopped_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void SharedMemoryDoor::Run() {
  std::vector<pollfd> polled;
  while (!is_stopped_) {
    if (is_refusing_) {
      listener_.Close();
      for (const Connection& each : connections_) {
        if (each.session != nullptr) each.session->Refuse();
      }
    }
    const bool may_accept = absl::Now() >= accept_again_;
    // poll() passes over a descriptor of -1.
    polled.assign({{wake_.get(), POLLIN, 0},
                   {may_accept ? listener_.fd() : -1, POLLIN, 0}});
    bool some_are_new = !may_accept;
    for (const Connection& each : connections_) {
      polled.push_back({each.socket.get(), POLLIN, 0});
      some_are_new |= each.session == nullptr;
    }
    const int timeout_millis =
        may_accept ? 1000 : static_cast<int>(kPause / absl::Milliseconds(1));
    poll(polled.data(), polled.size(), some_are_new ? timeout_millis : -1);
    uint64_t count;
    if (polled[0].revents != 0) (void)eventfd_read(wake_.get(), &count);
    const absl::Time now = absl::Now();
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& each = connections_[i];
      const bool is_late =
          each.session == nullptr && now > each.accepted + kHelloTimeout;
      if (is_late || (polled[2 + i].revents != 0 && !Serve(each))) Close(each);
    }
    std::erase_if(connections_, [](const Connection& each) {
      return !each.socket.is_open();
    });
    if (polled[1].revents != 0) Accept();
  }
  for (Connection& each : connections_) {
    if (each.session != nullptr) each.session->Close();
  }
  // A client whose connection ends makes its calls again, in the same memory.
  calls_.AwaitNone(absl::InfiniteFuture());
  connections_.clear();
  num_clients_ = 0;
}

void SharedMemoryDoor::Accept() {
  while (true) {
    Descriptor socket(listener_.Accept());
    if (!socket.is_open()) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // It stays there to be accepted.
      accept_again_ = absl::Now() + kPause;
      LogRefusal(socket, std::strerror(errno));
      return;
    }
    const bool may_connect = MayConnect(options_.users, socket.get());
    if (may_connect &&
        connections_.size() < static_cast<size_t>(options_.max_clients)) {
      connections_.push_back({std::move(socket), absl::Now()});
      continue;
    }
    LogRefusal(socket, may_connect ? "--max_shared_memory_clients"
                                   : "--unix_uids, --unix_gids");
  }
}

void SharedMemoryDoor::LogRefusal(const Descriptor& socket,
                                  absl::string_view reason) {
  if (absl::Now() - logged_refusal_ < absl::Seconds(1)) return;
  logged_refusal_ = absl::Now();
  const std::optional<ucred> user = UserAt(socket.get());
  LogEvent(LogLevel::kWarning, "shared_memory_refused",
           {{"uid", user ? int64_t{user->uid} : int64_t{-1}},
            {"reason", std::string(reason)}});
}

bool SharedMemoryDoor::Serve(Connection& connection) {
  // One packet in a turn, so that all connections get theirs.
  absl::StatusOr<Packet> packet =
      shared_memory::ReceivePacket(connection.socket.get());
  if (absl::IsNotFound(packet.status())) return true;
  if (!packet.ok()) return false;
  v1::ControlRequest request;
  if (!request.ParseFromString(packet->bytes)) return false;
  const bool was_known = connection.session != nullptr;
  const v1::ControlReply reply =
      Answer(connection, request, packet->descriptor);
  const bool is_new = !was_known && connection.session != nullptr;
  return shared_memory::SendPacket(connection.socket.get(),
                                   reply.SerializeAsString(),
                                   is_new ? connection.session->ring_fd() : -1)
      .ok();
}

v1::ControlReply SharedMemoryDoor::Answer(Connection& connection,
                                          const v1::ControlRequest& request,
                                          const Descriptor& descriptor) {
  v1::ControlReply reply;
  reply.set_version(shared_memory::kVersion);
  absl::Status status;
  if (request.has_hello()) {
    status = Greet(connection, request.hello());
  } else if (connection.session == nullptr) {
    status = absl::FailedPreconditionError("say hello first");
  } else if (request.has_offer_region()) {
    const absl::StatusOr<uint32_t> region =
        connection.session->AddRegion(descriptor);
    status = region.status();
    if (region.ok()) reply.set_region(*region);
  } else if (request.has_offer_device_memory()) {
    const auto& offer = request.offer_device_memory();
    const absl::StatusOr<uint32_t> region = connection.session->AddDeviceRegion(
        offer.device_uuid(), offer.handle());
    status = region.status();
    if (region.ok()) reply.set_region(*region);
  } else if (request.has_forget_region()) {
    connection.session->ForgetRegion(request.forget_region().region());
  } else {
    status = absl::InvalidArgumentError("a request of no known kind");
  }
  if (!status.ok()) *reply.mutable_error() = ToProto(status);
  return reply;
}

absl::Status SharedMemoryDoor::Greet(Connection& connection,
                                     const v1::ControlRequest::Hello& hello) {
  if (connection.session != nullptr) {
    return absl::InvalidArgumentError("a second hello");
  }
  if (hello.version() != shared_memory::kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", hello.version(), " of the ring; this server ",
                     "speaks ", shared_memory::kVersion));
  }
  if (services_.authenticator != nullptr) {
    ACTSERVE_RETURN_IF_ERROR(
        services_.authenticator
            ->Authenticate({.is_unix_socket = true,
                            .authorization = hello.authorization()})
            .status());
  }
  const std::optional<ucred> user = UserAt(connection.socket.get());
  if (!user) return absl::PermissionDeniedError("the caller is not known");
  ACTSERVE_ASSIGN_OR_RETURN(
      connection.session,
      Session::Start(services_, &budget_, user->uid, hello.authorization(),
                     [fd = connection.socket.get()] {
                       // The thread of the door then sees it closed.
                       shutdown(fd, SHUT_RDWR);
                     }));
  ++num_clients_;
  return absl::OkStatus();
}

void SharedMemoryDoor::Close(Connection& connection) {
  if (connection.session != nullptr) {
    connection.session->Close();
    connection.session.reset();
    --num_clients_;
  }
  connection.socket = Descriptor();
}

}  // namespace actserve
