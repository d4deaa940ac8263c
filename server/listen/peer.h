#ifndef ACTSERVE_SERVER_LISTEN_PEER_H_
#define ACTSERVE_SERVER_LISTEN_PEER_H_

#include <string>
#include <utility>

namespace actserve {

// Who has the other end of a connection: the bytes of an IPv4 or IPv6 address
// and a port, or "" and 0 for any peer over the unix socket.
struct Peer {
  std::string address;
  int port = 0;

  bool operator==(const Peer&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Peer& peer) {
    return H::combine(std::move(h), peer.address, peer.port);
  }
};

// Who counts as one host: an address, of IPv6 its first 64 bits, for a host has
// all addresses below them.
inline std::string HostOf(const Peer& peer) {
  return peer.address.substr(0, 8);
}

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_PEER_H_
