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

// A whole server in one object.
class Server {
 public:
  using DeviceLostCallback = std::function<void()>;

  // Starts a server, which listens when Start() returns.
  //   InvalidArgument     an option is out of its range
  //   FailedPrecondition  the unix socket or the cache directory is not usable
  //   Unavailable         an address is taken
  // and what the device's maker returns.
  //
  // If the device is lost, `on_device_lost` is called once, after health has
  // turned NOT_SERVING, from a thread of the server, at any time until Drain()
  // returns. From then on calls fail with UNAVAILABLE, and only a new process
  // helps.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, DeviceLostCallback on_device_lost = nullptr);
  // The same with an existing device instead of the one in `options`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, ChosenDevice device,
      DeviceLostCallback on_device_lost = nullptr);

  // Cancels running calls. Call Drain() first.
  ~Server();

  // The addresses with their ports resolved: "127.0.0.1:50051",
  // "unix:/run/...".
  const std::vector<std::string>& addresses() const;

  // Turns health to NOT_SERVING. Calls are still accepted.
  void StopBeingHealthy();

  // OK, or Unavailable and why the device is lost.
  absl::Status device_health() const;

  // Refuses new calls with UNAVAILABLE, gives running ones `timeout`, and then
  // cancels them. Returns when none is left: true if none was cancelled. If a
  // lost device still holds calls, returns false without waiting for them; the
  // process must then exit.
  bool Drain(absl::Duration timeout);

 private:
  class Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SERVER_H_
