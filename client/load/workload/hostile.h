#ifndef ACTSERVE_CLIENT_LOAD_WORKLOAD_HOSTILE_H_
#define ACTSERVE_CLIENT_LOAD_WORKLOAD_HOSTILE_H_

#include <string>
#include <vector>

namespace actserve {

// A call that a server must refuse with INVALID_ARGUMENT.
struct HostileCall {
  std::string what;
  std::string method;  // "Forward"
  // The encoded request.
  std::string request;
};

// Sizes and shapes that do not fit, bytes that are no message, texts that
// explode: what servers have failed on.
std::vector<HostileCall> HostileCalls();

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_WORKLOAD_HOSTILE_H_
