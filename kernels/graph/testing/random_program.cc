#include "kernels/graph/testing/random_program.h"

#include <cmath>
#include <limits>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve::testing {
namespace {

constexpr const char* kInputNames[] = {"x", "y", "z", "w"};
constexpr const char* kParameterNames[] = {"a", "b", "c", "d"};

constexpr const char* kConstants[] = {"0.0", "1.0",  "-1.0", "0.5",  "2.0",
                                      "3",   "0.25", "0.1",  "1.7",  "-2.5",
                                      "pi",  "1e-3", "10.0", "-0.0", "6"};
constexpr const char* kSmoothFunctions[] = {
    "exp",     "expm1",   "log",        "log1p",    "sin",        "cos",
    "tanh",    "sigmoid", "softplus",   "erf",      "erfc",       "sqrt",
    "normcdf", "silu",    "gelu",       "mish",     "logsigmoid", "atan",
    "sinh",    "sech2",   "tanhshrink", "softsign", "asinh",      "normpdf",
    "abs",     "swish",   "squareplus", "elu",      "gelu_tanh",  "relu",
    "exp2",    "cosh",    "tan",        "log2"};
constexpr const char* kRoundingFunctions[] = {"floor", "ceil", "round", "trunc",
                                              "sign"};
constexpr const char* kRowFunctions[] = {"rowsum", "rowmean", "rowmax",
                                         "rowmin", "rowsize", "rowindex"};
constexpr const char* kRowMoves[] = {"rowsorted", "rowcumsum", "rowshift",
                                     "rowshiftback"};
constexpr const char* kRowMovesOfTwo[] = {"rowsort", "rowunsort", "rowscan",
                                          "rowscanback"};

class Writer {
 public:
  Writer(uint64_t seed, const RandomProgramOptions& options)
      : random_(seed), options_(options) {}

  std::string Write() {
    std::vector<std::string> arguments;
    for (int i = 0; i < options_.num_inputs; ++i) {
      names_.emplace_back(kInputNames[i]);
      arguments.push_back(names_.back());
    }
    for (int i = 0; i < options_.num_parameters; ++i) {
      names_.emplace_back(kParameterNames[i]);
      arguments.push_back(
          absl::StrCat(names_.back(), "=", Pick(6) * 0.3 + 0.35));
    }
    text_ = absl::StrCat("def f(", absl::StrJoin(arguments, ", "), "):\n");
    for (int i = 0; i < options_.num_statements; ++i) Statement();
    absl::StrAppend(&text_, "    return ", Expression(2), "\n");
    return text_;
  }

 private:
  int Pick(int count) { return static_cast<int>(random_() % count); }
  template <size_t N>
  std::string PickOf(const char* const (&list)[N]) {
    return list[Pick(static_cast<int>(N))];
  }
  std::string Name() { return names_[Pick(static_cast<int>(names_.size()))]; }

  void Statement() {
    switch (Pick(7)) {
      case 0:
        absl::StrAppend(&text_, "    if ", Condition(1), ":\n        return ",
                        Expression(2), "\n");
        break;
      case 1: {
        const std::string name = Name();
        absl::StrAppend(&text_, "    if ", Condition(1), ":\n        ", name,
                        " = ", Expression(2), "\n    else:\n        ", name,
                        " = ", Expression(2), "\n");
        break;
      }
      case 2:
        absl::StrAppend(&text_, "    ", Name(), " += ", Expression(2), "\n");
        break;
      case 3: {
        const std::string name = Name();
        absl::StrAppend(&text_, "    for i in range(", 1 + Pick(3),
                        "):\n        ", name, " = ", name, " * 0.5 + ",
                        Expression(1), " / (i + 2)\n");
        break;
      }
      default: {
        const std::string name = absl::StrCat("v", names_.size());
        absl::StrAppend(&text_, "    ", name, " = ",
                        Expression(options_.expression_depth), "\n");
        names_.push_back(name);
      }
    }
  }

  std::string Expression(int depth) {
    if (depth == 0 || Pick(6) == 0) {
      return Pick(4) == 0 ? PickOf(kConstants) : Name();
    }
    const auto sub = [&] { return Expression(depth - 1); };
    if (options_.rows && Pick(5) == 0) return OfRow(depth);
    switch (Pick(12)) {
      case 0:
      case 1:
        return absl::StrCat("(", sub(), " + ", sub(), ")");
      case 2:
        return absl::StrCat("(", sub(), " - ", sub(), ")");
      case 3:
      case 4:
        return absl::StrCat("(", sub(), " * ", sub(), ")");
      case 5:
        return absl::StrCat("(", sub(), " / ", sub(), ")");
      case 6:
        return absl::StrCat("(-", sub(), ")");
      case 7:
        return absl::StrCat("(", sub(), " if ", Condition(depth - 1), " else ",
                            sub(), ")");
      case 8:
        return absl::StrCat(Pick(2) == 0 ? "max(" : "min(", sub(), ", ", sub(),
                            ")");
      case 9:
        return Rare(depth);
      default:
        return absl::StrCat(PickOf(kSmoothFunctions), "(", sub(), ")");
    }
  }

  std::string OfRow(int depth) {
    const auto sub = [&] { return Expression(depth - 1); };
    switch (Pick(4)) {
      case 0:
        return absl::StrCat(PickOf(kRowMoves), "(", sub(), ")");
      case 1:
        return absl::StrCat(PickOf(kRowMovesOfTwo), "(", sub(), ", ", sub(),
                            ")");
      default:
        return absl::StrCat(PickOf(kRowFunctions), "(", sub(), ")");
    }
  }

  std::string Rare(int depth) {
    const auto sub = [&] { return Expression(depth - 1); };
    switch (Pick(options_.only_smooth ? 4 : 8)) {
      case 0:
        return absl::StrCat("(", sub(), ") ** ", Pick(6) - 2);
      case 1:
        return absl::StrCat("abs(", sub(), ") ** ", 0.5 + Pick(4) * 0.75);
      case 2:
        return absl::StrCat("clamp(", sub(), ", -1.5, 2.5)");
      case 3:
        return absl::StrCat("atan2(", sub(), ", ", sub(), ")");
      case 4:
        return absl::StrCat("(", sub(), " % ", Pick(2) == 0 ? "1" : sub(), ")");
      case 5:
        return absl::StrCat("(", sub(), " // ", sub(), ")");
      case 6:
        return absl::StrCat("fmod(", sub(), ", ", sub(), ")");
      default:
        return absl::StrCat(PickOf(kRoundingFunctions), "(", sub(), ")");
    }
  }

  std::string Condition(int depth) {
    const auto sub = [&] { return Expression(depth > 0 ? depth - 1 : 0); };
    switch (Pick(8)) {
      case 0:
        return absl::StrCat("not ", sub(), " >= ", sub());
      case 1:
        return absl::StrCat("(", sub(), " < ", sub(), " and ", sub(),
                            " > 0.0)");
      case 2:
        return absl::StrCat("(", sub(), " < -1.0 or ", sub(), " >= ", sub(),
                            ")");
      case 3:
        return absl::StrCat("-1.0 < ", sub(), " <= 2.0");
      case 4:
        return absl::StrCat(sub(), " != ", sub());
      default:
        return absl::StrCat(sub(), Pick(2) == 0 ? " < " : " > ", sub());
    }
  }

  std::mt19937_64 random_;
  const RandomProgramOptions options_;
  std::vector<std::string> names_;
  std::string text_;
};

}  // namespace

std::string RandomProgram(uint64_t seed, const RandomProgramOptions& options) {
  return Writer(seed, options).Write();
}

std::vector<double> InterestingNumbers(uint64_t seed, int num_random) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> numbers = {
      0.0,    -0.0,  inf,  -inf,   std::nan(""), 1.0,    -1.0,   0.5,
      -0.5,   1.5,   -2.5, 3.0,    1e-45,        -1e-45, 1e-310, 1e-38,
      3.4e38, 1e308, 88.9, -104.0, 709.9,        -745.2, 1e-8,   16777217};
  std::mt19937_64 random(seed);
  for (int i = 0; i < num_random; ++i) {
    // Mostly of ordinary size, a third of any.
    const double unit = std::ldexp(static_cast<double>(random() >> 11), -53);
    const int exponent =
        i % 3 == 0 ? static_cast<int>(random() % 240) - 120 : 3;
    const double sign = random() % 2 == 0 ? 1 : -1;
    numbers.push_back(sign * std::ldexp(unit, exponent));
  }
  return numbers;
}

}  // namespace actserve::testing
