#ifndef ACTSERVE_SERVER_SHARED_MEMORY_DOOR_H_
#define ACTSERVE_SERVER_SHARED_MEMORY_DOOR_H_

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actserve/v1/shared_memory.pb.h"
#include "proto/shared_memory/control.h"
#include "server/evaluation/call_counter.h"
#include "server/listen/listening_socket.h"
#include "server/listen/unix_users.h"
#include "server/shared_memory/session.h"

namespace actserve {

// The front door of clients on this host that share memory with the server: it
// listens at a control socket (proto/shared_memory/control.h), checks who
// comes, and runs a session for each. Thread-safe.
class SharedMemoryDoor {
 public:
  struct Options {
    // Path of the control socket. Its folder is there, and safe.
    std::string path;
    UnixUsers users;
    // Limit on the sessions.
    int max_clients = 64;
    // Limit on the bytes of all regions in host memory.
    int64_t max_bytes = 0;
    // True to take regions in the device's memory too.
    bool device_memory = false;
  };
  struct Services {
    const ServingParts& parts;
    // Null: nobody counts.
    CallMetrics* metrics;
    CallObserver& observer;
    // Null: everyone may call.
    const Authenticator* authenticator;
  };
  // A connection must say hello within this time.
  static constexpr absl::Duration kHelloTimeout = absl::Seconds(5);

  // Listens when it returns. All services must outlive the door.
  //   FailedPrecondition, Unavailable  the path cannot be listened at
  static absl::StatusOr<std::unique_ptr<SharedMemoryDoor>> Start(
      const Options& options, const Services& services);

  // Calls Shutdown().
  ~SharedMemoryDoor();

  // Answers new clients no more, and further calls with UNAVAILABLE.
  void Refuse();
  // Waits until no call runs; false if one still does after `timeout`.
  bool AwaitCalls(absl::Duration timeout);
  // Ends all sessions. Their clients see the connection close once no call
  // writes to their memory any more.
  void Shutdown();

  int num_clients() const { return num_clients_; }
  int64_t region_bytes() const { return budget_.used_bytes(); }
  int64_t device_region_bytes() const { return device_budget_.used_bytes(); }

 private:
  // A connection to the control socket.
  struct Connection {
    shared_memory::Descriptor socket;
    absl::Time accepted;
    // Null until it has said hello.
    std::shared_ptr<Session> session = nullptr;
  };

  SharedMemoryDoor(const Options& options, const Services& services,
                   ListeningSocket listener, shared_memory::Descriptor wake);
  void Run();
  void Accept();
  void LogRefusal(const shared_memory::Descriptor& socket,
                  absl::string_view reason);
  // False if the connection is to be closed.
  bool Serve(Connection& connection);
  v1::ControlReply Answer(Connection& connection,
                          const v1::ControlRequest& request,
                          const shared_memory::Descriptor& descriptor);
  absl::Status Greet(Connection& connection,
                     const v1::ControlRequest::Hello& hello);
  void Close(Connection& connection);

  const Options options_;
  CallCounter calls_;
  RegionBudget budget_;
  // Counts, and does not bound: the memory is the clients' anyway.
  RegionBudget device_budget_{int64_t{1} << 60};
  const SessionServices services_;
  ListeningSocket listener_;
  // An eventfd that ends the wait of the thread.
  const shared_memory::Descriptor wake_;
  std::atomic<bool> is_refusing_ = false;
  std::atomic<bool> is_stopped_ = false;
  std::atomic<int> num_clients_ = 0;
  // Of the thread.
  std::vector<Connection> connections_;
  absl::Time accept_again_ = absl::InfinitePast();
  absl::Time logged_refusal_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SHARED_MEMORY_DOOR_H_
