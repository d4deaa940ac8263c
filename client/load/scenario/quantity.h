#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_

#include <string>

#include "absl/status/statusor.h"

namespace actserve {

// A number with an optional unit: us, ms, s, min (in seconds); KiB, MiB, GiB
// (in bytes); % (hundredths); k (thousands).
//   InvalidArgument  neither
absl::StatusOr<double> ParseQuantity(const std::string& text);

// A number, a figure, or "NUMBER * FIGURE", such as "0.7 * peak.rate".
struct Term {
  double factor = 1;
  // Empty: the number alone.
  std::string figure;
};
absl::StatusOr<Term> ParseTerm(const std::string& text);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_
