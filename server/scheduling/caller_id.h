#ifndef ACTSERVE_SERVER_SCHEDULING_CALLER_ID_H_
#define ACTSERVE_SERVER_SCHEDULING_CALLER_ID_H_

#include <cstdint>
#include <utility>

namespace actserve {

class Tenant;

// Who sends a request. Fairness is between peers first, and between the
// connections of one peer then, so that more connections do not mean more
// turns.
struct CallerId {
  // Equal for all connections of a peer: those of one tenant, if it is known.
  uint64_t peer = 0;
  // Equal for all requests of a connection.
  uint64_t connection = 0;
  // Null if the server knows no tenants; otherwise it outlives the request.
  Tenant* tenant = nullptr;

  bool operator==(const CallerId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const CallerId& caller) {
    return H::combine(std::move(h), caller.peer, caller.connection);
  }
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_CALLER_ID_H_
