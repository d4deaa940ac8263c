#include "kernels/accuracy/goals.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

struct Row {
  std::string_view activation;
  double value_ulp;
  double derivative_ulp;
  bool derivative_has_root = false;
};

// Exact, or rounded once: half a unit. One more rounding: 1.5. Functions of the
// math library: 1. Functions built from them: 2.5 to 4. Derivatives: 2 more.
constexpr Row kRows[] = {
    {"identity", 0.5, 0.5},
    {"relu", 0.5, 0.5},
    {"relu6", 0.5, 0.5},
    {"leaky_relu", 0.5, 0.5},
    {"prelu", 0.5, 0.5},
    {"hardshrink", 0.5, 0.5},
    {"softshrink", 0.5, 0.5},
    {"hardtanh", 0.5, 0.5},
    {"threshold", 0.5, 0.5},
    {"absolute", 0.5, 0.5},
    {"square", 0.5, 0.5},
    {"squared_relu", 0.5, 0.5},
    {"spiky", 0.5, 0.5},
    {"spike_atan", 0.5, 4.5},
    {"spike_fast_sigmoid", 0.5, 4.5},
    {"hardsigmoid", 1.5, 0.5},
    {"hardswish", 1.5, 3.5, true},
    {"exponential", 1, 3},
    {"tanh", 1, 3.5},
    {"erf", 1, 3},
    {"arctan", 1, 3},
    {"sigmoid", 2.5, 4.5},
    {"softplus", 2.5, 4.5},
    {"logsigmoid", 2.5, 4.5},
    {"elu", 2.5, 4.5},
    {"selu", 2.5, 4.5},
    {"celu", 2.5, 4.5},
    {"tanhshrink", 2.5, 4.5},
    {"softsign", 2.5, 4.5},
    {"silu", 4, 4, true},
    {"swish", 4, 4, true},
    {"quick_gelu", 4, 4, true},
    {"gelu", 4, 4, true},
    {"gelu_tanh", 4, 4, true},
    {"mish", 4, 4, true},
    {"gaussian", 4, 6},
    {"squareplus", 4, 6},
    {"sine", 3, 5},
    {"snake", 3, 5, true},
};

constexpr std::string_view kSubnormalFactor =
    "the rounding error of a subnormal exponential is multiplied";
constexpr std::string_view kRoundedConstant =
    "1.702 is rounded to the type, and the exponential amplifies that error by "
    "up to 1.702 x";

constexpr AccuracyException kExceptions[] = {
    {"erf", true, 3, 1.5, kSubnormalFactor},
    {"gaussian", true, 6, 40, kSubnormalFactor},
    {"hardswish", false, 2, 1, "three roundings"},
    {"quick_gelu", false, 25, 12, kRoundedConstant},
    {"quick_gelu", true, 25, 12, kRoundedConstant},
    {"selu", true, 4.5, 2, kSubnormalFactor},
    {"spike_atan", true, 4.5, 2e15,
     "the square in the denominator overflows, so subnormal results are 0"},
    {"spike_fast_sigmoid", true, 4.5, 1.5,
     "the rounding error of the quotient is squared"},
};

}  // namespace

const AccuracyException* FindException(std::string_view activation,
                                       bool derivative) {
  for (const AccuracyException& exception : kExceptions) {
    if (exception.activation == activation &&
        exception.derivative == derivative) {
      return &exception;
    }
  }
  return nullptr;
}

AccuracyGoal LimitFor(std::string_view activation, bool derivative) {
  AccuracyGoal limit = GoalFor(activation, derivative);
  if (const auto* exception = FindException(activation, derivative)) {
    limit.max_ulp = exception->max_ulp;
    limit.max_subnormal_ulp = exception->max_subnormal_ulp;
  }
  return limit;
}

AccuracyGoal GoalFor(std::string_view activation, bool derivative) {
  AccuracyGoal goal;
  goal.max_ulp = derivative ? 6 : 4;
  for (const Row& row : kRows) {
    if (row.activation != activation) continue;
    goal.max_ulp = derivative ? row.derivative_ulp : row.value_ulp;
    goal.has_root = derivative && row.derivative_has_root;
  }
  return goal;
}

std::string Shortfall(const AccuracyGoal& goal, DType dtype,
                      const Accuracy& accuracy) {
  std::vector<std::string> problems;
  auto check = [&](const char* what, double figure, double limit) {
    if (figure > limit) {
      problems.push_back(absl::StrCat(what, " ", figure, " > ", limit));
    }
  };
  if (Is16Bit(dtype)) {
    check("misrounded",
          static_cast<double>(accuracy.num_misrounded - accuracy.num_near_ties),
          static_cast<double>(goal.max_misrounded));
  } else {
    check("ulp", goal.has_root ? accuracy.max_term_ulp : accuracy.max_ulp,
          goal.max_ulp);
    check("ulp of subnormal results", accuracy.max_subnormal_ulp,
          goal.max_subnormal_ulp);
  }
  check("special values", static_cast<double>(accuracy.num_special_mismatches),
        0);
  return absl::StrJoin(problems, ", ");
}

}  // namespace actserve
