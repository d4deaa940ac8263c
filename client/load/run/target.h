#ifndef ACTSERVE_CLIENT_LOAD_RUN_TARGET_H_
#define ACTSERVE_CLIENT_LOAD_RUN_TARGET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/server_flags.h"
#include "client/cpp/client.h"
#include "client/load/workload/mix.h"
#include "client/load/workload/prepared_request.h"
#include "client/load/workload/request_spec.h"

namespace actserve {

// A workload with the client that sends it.
//
// Thread-safe.
class Target {
 public:
  // Makes the tensors and, by `local`, the right answers; null: answers are not
  // compared. `flags` fill what the workload does not say.
  // Errors are those of Client::Connect() and of the first calls.
  static absl::StatusOr<std::unique_ptr<Target>> Connect(
      const WorkloadSpec& spec, const ServerFlags& flags, Client* local,
      uint64_t seed);

  const WorkloadSpec& spec() const { return spec_; }
  Client& client() { return *client_; }
  PreparedRequest& Prepared(const Pick& pick) {
    return *prepared_[pick.request][pick.shape];
  }

 private:
  WorkloadSpec spec_;
  std::unique_ptr<Client> client_;
  std::vector<std::vector<std::unique_ptr<PreparedRequest>>> prepared_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_RUN_TARGET_H_
