#ifndef ACTSERVE_KERNELS_BASE_STOP_TOKEN_H_
#define ACTSERVE_KERNELS_BASE_STOP_TOKEN_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"

namespace actserve {

// How long work learns that nobody wants its result any more. The work asks
// between its steps; a step that runs is not interrupted.
class StopToken {
 public:
  // Always OK: the work is wanted whatever happens.
  StopToken() = default;
  // `check` returns OK while the work is wanted, and later why it is not. It is
  // called from the thread that works, and should take microseconds.
  explicit StopToken(std::function<absl::Status()> check)
      : check_(std::move(check)) {}

  // OK, or the error that the work should return now.
  absl::Status Check() const {
    return check_ != nullptr ? check_() : absl::OkStatus();
  }

 private:
  std::function<absl::Status()> check_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_STOP_TOKEN_H_
