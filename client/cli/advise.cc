// Which way to take: `actctl advise`.

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/text_file.h"
#include "client/local/distances.h"
#include "kernels/base/status_macros.h"
#include "proto/default_address.h"

namespace actserve {
namespace {

std::string Micros(absl::Duration time) {
  return absl::StrFormat("%.1f", absl::ToDoubleMicroseconds(time));
}

// What to give as an address, and how to keep tensors, to go that way.
std::string HowTo(const std::string& way, const std::string& address) {
  if (way == "local") return "the address \"local\"";
  std::string there = absl::StrCat("the address ", address);
  if (way == "shared memory, in place") {
    return absl::StrCat(there, ", with tensors in memory of the client's");
  }
  if (way == "sent") return absl::StrCat(there, ", without shared memory");
  return there;
}

}  // namespace

absl::Status Advise(const ServerFlags& server, const AdviseFlags& flags) {
  std::string address =
      server.address.empty() ? DefaultAddress() : server.address;
  if (address == "local") address.clear();
  Client::Options options;
  options.timeout = absl::Seconds(server.timeout_seconds);
  options.max_attempts = 1;
  options.security = server.security;
  LocalOptions local_options;
  local_options.timeout = options.timeout;
  ACTSERVE_ASSIGN_OR_RETURN(const std::vector<Way> ways,
                            WaysTo(address, options, local_options));
  Step step;
  ACTSERVE_ASSIGN_OR_RETURN(step.dtype, ParseDType(flags.dtype));
  step.shape = flags.shape;
  step.axis = flags.axis;
  step.activation = [&](Client& client) -> absl::StatusOr<std::string> {
    if (!IsTextFile(flags.activation)) return flags.activation;
    TextFlags text;
    text.file = flags.activation;
    ACTSERVE_ASSIGN_OR_RETURN(const auto request, ToRequest(text));
    ACTSERVE_ASSIGN_OR_RETURN(const auto response,
                              client.RegisterActivation(request));
    return response.activation().id();
  };
  ACTSERVE_ASSIGN_OR_RETURN(const std::string activation,
                            step.activation(*ways[0].client));
  ACTSERVE_ASSIGN_OR_RETURN(const v1::Activation known,
                            ways[0].client->GetActivation(activation));
  step.num_inputs = known.inputs_size();
  ACTSERVE_ASSIGN_OR_RETURN(const std::vector<Distance> distances,
                            Measure(ways, step, absl::Seconds(flags.seconds)));

  std::cout << flags.activation << ", " << flags.dtype << " ["
            << absl::StrJoin(flags.shape, ", ") << "], microseconds\n"
            << absl::StrFormat("%-26s%12s%24s\n", "way", "forward",
                               "forward and backward");
  const Distance* best = nullptr;
  for (const Distance& each : distances) {
    std::cout << absl::StrFormat("%-26s", each.way);
    if (!each.status.ok()) {
      std::cout << each.status.message() << "\n";
      continue;
    }
    std::cout << absl::StrFormat("%12s%24s\n", Micros(each.forward),
                                 Micros(each.step));
    if (best == nullptr || each.step < best->step) best = &each;
  }
  if (best == nullptr) return distances[0].status;
  const Distance* next = nullptr;
  for (const Distance& each : distances) {
    if (each.status.ok() && &each != best &&
        (next == nullptr || each.step < next->step)) {
      next = &each;
    }
  }
  std::cout << "take " << HowTo(best->way, address);
  if (next != nullptr) {
    std::cout << absl::StrFormat(": %.1f times as fast as \"%s\"",
                                 absl::FDivDuration(next->step, best->step),
                                 next->way);
  }
  std::cout << "\n";
  return absl::OkStatus();
}

}  // namespace actserve
