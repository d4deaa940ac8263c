#include "client/load/scenario/quantity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

constexpr std::pair<const char*, double> kUnits[] = {
    {"", 1},     {"us", 1e-6},     {"ms", 1e-3},     {"s", 1},
    {"min", 60}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
    {"%", 0.01}, {"k", 1000}};

}  // namespace

absl::StatusOr<double> ParseQuantity(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string unit(absl::StripAsciiWhitespace(end));
  const auto* const found =
      std::find_if(std::begin(kUnits), std::end(kUnits),
                   [&](const auto& each) { return unit == each.first; });
  if (end == text.c_str() || !std::isfinite(number) ||
      found == std::end(kUnits)) {
    return InvalidArgument(Quoted(text),
                           " is not a number, with a unit of us, ms, s, min, "
                           "KiB, MiB, GiB, %, k or none");
  }
  return number * found->second;
}

absl::StatusOr<Term> ParseTerm(const std::string& text) {
  Term term;
  const std::vector<std::string> words =
      absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (size_t i = 0; i < words.size();) {
    Term::Factor factor;
    if (i > 0) {
      factor.divides = words[i] == "/";
      if ((!factor.divides && words[i] != "*") || ++i == words.size()) {
        return InvalidArgument(Quoted(text),
                               " is not a number or figure, or several with * "
                               "or / between them");
      }
    }
    if (absl::ascii_isalpha(words[i][0])) {
      factor.figure = words[i];
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(factor.number, ParseQuantity(words[i]));
    }
    term.factors.push_back(std::move(factor));
    ++i;
  }
  if (term.factors.empty()) return InvalidArgument("an empty term");
  return term;
}

std::optional<double> NumberOf(const Term& term) {
  if (term.factors.size() != 1 || !term.factors[0].figure.empty()) {
    return std::nullopt;
  }
  return term.factors[0].number;
}

}  // namespace actserve
