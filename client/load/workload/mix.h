#ifndef ACTSERVE_CLIENT_LOAD_WORKLOAD_MIX_H_
#define ACTSERVE_CLIENT_LOAD_WORKLOAD_MIX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/schedule/seeded_random.h"
#include "client/load/workload/request_spec.h"

namespace actserve {

// One request of a mix: which one, of which shape, with which tensors.
struct Pick {
  int request = 0;
  int shape = 0;
  // To be taken modulo the number of variants.
  uint32_t variant = 0;
  // True if the answer is to be compared.
  bool verify = false;
};

// Draws requests by their weights. The same seed draws the same ones.
class Mix {
 public:
  Mix(const std::vector<RequestSpec>& requests, double verify, uint64_t seed);

  Pick Next();
  // A request of that index, with the rest drawn.
  Pick NextOf(int request);

 private:
  static int Draw(const std::vector<double>& sums, double uniform);

  SeededRandom random_;
  const double verify_;
  std::vector<double> sums_;                     // of weights
  std::vector<std::vector<double>> shape_sums_;  // of each request
};

// The index of the request of that name.
//   InvalidArgument  there is none
absl::StatusOr<int> FindRequest(const std::vector<RequestSpec>& requests,
                                const std::string& name);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_WORKLOAD_MIX_H_
