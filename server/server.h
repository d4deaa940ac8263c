#ifndef ACTSERVE_SERVER_SERVER_H_
#define ACTSERVE_SERVER_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/device_choice.h"
#include "server/options.h"

namespace actserve {

// A whole server in one object: all parts, listening.
class Server {
 public:
  using DeviceLostCallback = std::function<void()>;

  // Listens when it returns.
  //   InvalidArgument     an option is out of its range
  //   FailedPrecondition  the unix socket or the cache directory is not usable
  //   Unavailable         an address is taken
  // and what the device's maker returns.
  //
  // `on_device_lost`, if any, is called once if the device is lost, when
  // health has turned NOT_SERVING: from a thread of the server, at any time
  // until Drain() returns. Then calls are answered UNAVAILABLE, and nothing
  // but a new process helps.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, DeviceLostCallback on_device_lost = nullptr);
  // With a device that is there, instead of that of `options`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, ChosenDevice device,
      DeviceLostCallback on_device_lost = nullptr);

  // Ends what still runs: call Drain() before.
  ~Server();

  // Where it listens, ports resolved: "127.0.0.1:50051", "unix:/run/...".
  const std::vector<std::string>& addresses() const;

  // Health turns NOT_SERVING. Calls are still accepted.
  void StopBeingHealthy();

  // OK, or Unavailable and why the device is lost.
  absl::Status device_health() const;

  // New calls are refused with UNAVAILABLE, running ones get `timeout`, and
  // are then cancelled. Returns when none is left: true if none was cancelled.
  // If the device is lost and keeps calls to itself they are left behind;
  // then it returns false, and nothing is safe but the end of the process.
  bool Drain(absl::Duration timeout);

 private:
  class Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SERVER_H_
