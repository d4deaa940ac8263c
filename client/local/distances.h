#ifndef ACTSERVE_CLIENT_LOCAL_DISTANCES_H_
#define ACTSERVE_CLIENT_LOCAL_DISTANCES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace actserve {

// A way from this process to an engine.
struct Way {
  // "local", "shared memory, in place", "shared memory, copied", "sent".
  std::string name;
  std::shared_ptr<Client> client;
  // True if tensors lie in memory of Client::Allocate().
  bool in_place = false;
};

// The ways that there are: in this process, and those to the server at
// `address`; empty: there is no server.
//   InvalidArgument  as Client::Connect(), Client::Local()
absl::StatusOr<std::vector<Way>> WaysTo(const std::string& address,
                                        const Client::Options& options,
                                        const LocalOptions& local_options);

// What is measured: one training step, which is a Forward that gives y and a
// Backward that sends the inputs again and gives the gradients of all of them.
struct Step {
  // Returns what calls of that client name the activation by.
  std::function<absl::StatusOr<std::string>(Client&)> activation;
  int num_inputs = 1;
  v1::DType dtype = v1::DTYPE_FLOAT32;
  std::vector<int64_t> shape;
  // Of activations that read rows.
  std::optional<int> axis;
};

// What a step costs by one way.
struct Distance {
  std::string way;
  // Not OK: this way failed, and the times mean nothing.
  absl::Status status;
  // Medians.
  absl::Duration forward;
  absl::Duration step;
};

// Measures the ways in turns, each for about `time`. Distances are in the order
// of the ways.
//   InvalidArgument  the shape has a negative dimension, or too many elements
absl::StatusOr<std::vector<Distance>> Measure(const std::vector<Way>& ways,
                                              const Step& step,
                                              absl::Duration time);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOCAL_DISTANCES_H_
