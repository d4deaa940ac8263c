#ifndef ACTSERVE_SERVER_LISTEN_ACCEPTOR_H_
#define ACTSERVE_SERVER_LISTEN_ACCEPTOR_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/listen/listening_socket.h"
#include "server/listen/peer.h"
#include "server/listen/refused_hosts.h"
#include "server/listen/unix_users.h"

namespace actserve {

// Accepts connections and hands them over. gRPC's own listener stops for good
// when descriptors run out (CVE-2023-4785), bounds nothing, and answers calls
// that cross its shutdown with CANCELLED. This one
//
//   * closes connections beyond a bound at once, so that descriptors are left,
//     and those of a peer that has more than its share: at most kShare times as
//     many as are free, so that nobody takes them all;
//   * hands over kPace connections of a host in kPaceInterval; up to
//     kMaxWaiting wait. gRPC reads 8 KiB of each, whatever has become of it:
//     200 streams, which take 30 ms;
//   * drops connections whose peer hung up before they were handed over, or
//     long before gRPC comes to read them. The host of more than kMaxGivenUp at
//     a time that leave much unread can open no others for a while;
//   * goes on after any error, and listens again within a second if a socket
//     does not listen any more or somebody removed its path;
//   * can stop accepting while connections go on, and close those later.
//
// Thread-safe.
class Acceptor {
 public:
  struct Options {
    // Each is host:port; port 0 picks a free port.
    std::vector<std::string> listen;
    // Path of the unix socket; empty: none. A missing directory is made with
    // mode 0700.
    std::string unix_socket;
    // Limit on the open connections. Less if the process may not have as many
    // descriptors: kReservedDescriptors are kept for files.
    int max_connections = 0;
    // Who may connect to it. If it names any, everyone may write to the path,
    // and the connections of all other users are closed.
    UnixUsers unix_users = {};
  };
  static constexpr int kReservedDescriptors = 32;
  static constexpr int kShare = 4;
  // With fewer a server would serve nobody beside its check of itself.
  static constexpr int kFewestConnections = 16;
  static constexpr int kPace = 64;
  static constexpr absl::Duration kPaceInterval = absl::Milliseconds(100);
  static constexpr int kMaxWaiting = 1024;
  static constexpr int kMaxGivenUp = 64;
  // Owns `fd` from then on.
  using Take =
      std::function<void(int listener_fd, int fd, bool is_unix_socket)>;

  // Listens when it returns; accepts from Start() on.
  //   InvalidArgument     an address is none
  //   FailedPrecondition  the unix socket is not usable, or too few files may
  //   be
  //                       open
  //   Unavailable         an address is taken
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(
      const Options& options);
  // Stops.
  ~Acceptor();

  // The addresses with their ports resolved: "127.0.0.1:50051",
  // "unix:/run/...".
  const std::vector<std::string>& addresses() const { return addresses_; }

  // The same as sockaddrs, in the same order; more for a name of many
  // addresses.
  std::vector<std::string> socket_addresses() const;

  // Calls `take` with each new connection, on a thread of its own. Call it
  // once.
  void Start(Take take);

  // Closes the sockets that listen; new connections are refused by the system.
  // Connections that were handed over go on.
  void Stop();

  // Ends the connections of these peers. Not after Stop().
  void CloseConnections(const absl::flat_hash_set<Peer>& peers) const;
  // Ends all connections of the hosts of these peers, and closes new ones for a
  // while: see RefusedHosts. Not those over the unix socket. Not after Stop().
  void Refuse(const absl::flat_hash_set<Peer>& peers);
  // The bytes that each peer has sent so far over its TCP connection. Not after
  // Stop().
  absl::flat_hash_map<Peer, int64_t> ReceivedBytes() const;

  // The connections that are open now. It looks at every descriptor of the
  // process: about a microsecond each.
  int num_connections() const;

  // Ends every connection that was handed over: their owner reads the end, and
  // the peers lose calls that were not answered (UNAVAILABLE). Call Stop()
  // first.
  void CloseConnections() const;

 private:
  Acceptor() = default;
  void Run(const Take& take);
  void AcceptAll(const ListeningSocket& socket);
  // Hands over those that wait, as many as the pace allows.
  void HandOver(const Take& take);
  bool MayConnect(int unix_fd) const;
  void Check();
  bool IsRefused(const std::string& host);
  // Whether one more connection of `host` is within its share. Counts again
  // before it says no.
  bool MayAccept(const std::string& host);
  // A connection that was handed over.
  struct Connection {
    int fd = -1;
    Peer peer;
  };
  std::vector<Connection> Connections() const;
  // Counts the connections of each host.
  void Count(const std::vector<Connection>& connections);
  // Drops those whose peer had hung up at the last call already.
  void DropHungUp(const std::vector<Connection>& connections);
  // Refuses the hosts that gave up too many connections since the last call.
  void RefuseWhoGivesUp();
  // Calls `visit` with the descriptor and the peer of each connection: two
  // system calls each.
  template <typename Visit>
  void ForEachConnection(Visit visit) const;

  std::vector<ListeningSocket> sockets_;
  std::vector<std::string> addresses_;
  UnixUsers unix_users_;
  int stop_event_ = -1;
  // New descriptors are the lowest free ones: one that is not below this means
  // that as many are open.
  int max_descriptor_ = 0;
  int max_connections_ = 0;
  // Of the thread: as of the last count, and those accepted since.
  absl::flat_hash_map<std::string, int> connections_of_host_;
  int num_connections_ = 0;
  absl::Time counted_ = absl::InfinitePast();
  // An accepted connection that is not handed over yet.
  struct Waiting {
    int listener_fd = -1;
    int fd = -1;
    bool is_unix_socket = false;
    Peer peer;
  };
  std::vector<Waiting> waiting_;
  absl::flat_hash_map<std::string, int> waiting_of_host_;
  // Since the interval began.
  absl::flat_hash_map<std::string, int> handed_over_of_host_;
  absl::Time interval_began_ = absl::InfinitePast();
  // By descriptor.
  absl::flat_hash_map<int, Peer> hung_up_;
  // Connections that hung up with much unread.
  absl::flat_hash_map<std::string, int> given_up_of_host_;
  absl::Mutex mu_;
  RefusedHosts refused_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_ACCEPTOR_H_
