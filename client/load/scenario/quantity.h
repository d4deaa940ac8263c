#ifndef ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_
#define ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actserve {

// A number with an optional unit: us, ms, s, min (in seconds); KiB, MiB, GiB
// (in bytes); % (hundredths); k (thousands).
//   InvalidArgument  neither
absl::StatusOr<double> ParseQuantity(const std::string& text);

// Numbers and figures that are multiplied and divided: "0.7 * peak.rate",
// "a.sum / a.count".
struct Term {
  struct Factor {
    bool divides = false;
    double number = 1;
    // Empty: the number.
    std::string figure = "";
  };
  std::vector<Factor> factors;
};
absl::StatusOr<Term> ParseTerm(const std::string& text);

// A term that is a number alone; none otherwise.
std::optional<double> NumberOf(const Term& term);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_SCENARIO_QUANTITY_H_
