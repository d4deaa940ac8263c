#ifndef ACTSERVE_SERVER_SERVER_H_
#define ACTSERVE_SERVER_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/options.h"

namespace actserve {

// A whole server in one object: all parts, listening.
class Server {
 public:
  // Listens when it returns.
  //   InvalidArgument     an option is out of its range
  //   FailedPrecondition  the unix socket or the cache directory is not usable
  //   Unavailable         an address is taken
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options);

  // Ends what still runs: call Drain() before.
  ~Server();

  // Where it listens, ports resolved: "127.0.0.1:50051", "unix:/run/...".
  const std::vector<std::string>& addresses() const;

  // Health turns NOT_SERVING. Calls are still accepted.
  void StopBeingHealthy();

  // New calls are refused with UNAVAILABLE, running ones get `timeout`, and
  // are then cancelled. Returns when none is left: true if none was cancelled.
  bool Drain(absl::Duration timeout);

 private:
  class Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SERVER_H_
