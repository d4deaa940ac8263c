#include "kernels/activation/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

// The places where activations differ: tails, bends, around 0; off the
// integers and halves where kinks are usual.
constexpr double kProbe[] = {
    -30.3, -12.7, -8.6,  -5.3,   -4.1,  -3.37, -2.6, -1.83, -1.27, -0.83, -0.62,
    -0.31, -0.18, -0.07, -0.012, 0.013, 0.06,  0.19, 0.33,  0.71,  0.87,  1.21,
    1.45,  1.79,  2.3,   2.9,    3.3,   4.7,   5.9,  7.4,   9.1,   13.3,  29.7};

// Differences over h and h / 2 that disagree more than this are a kink or a
// jump between their ends, or noise: nothing can be said there.
constexpr double kAgreement = 1e-4;

// A point: inputs, then parameters.
using Point = std::vector<double>;

double Value(const Graph& graph, const Point& point, size_t num_inputs,
             bool with_upstream) {
  std::vector<double> inputs(point.begin(), point.begin() + num_inputs);
  if (with_upstream) inputs.push_back(1);
  const std::vector<double> parameters(point.begin() + num_inputs, point.end());
  return Evaluate<double>(graph, inputs, parameters, {parameters})[0];
}

// d(value)/d(point[at]), or nothing at kinks, jumps and non-finite values.
std::optional<double> Difference(absl::FunctionRef<double(const Point&)> value,
                                 const Point& point, size_t at) {
  const auto slope = [&](double h) {
    Point up = point, down = point;
    up[at] += h;
    down[at] -= h;
    return (value(up) - value(down)) / (up[at] - down[at]);
  };
  const double h = 1e-4 * std::max(1.0, std::fabs(point[at]));
  const double wide = slope(h), narrow = slope(h / 2);
  const double scale = std::max(1.0, std::fabs(narrow));
  if (!(std::fabs(wide - narrow) <= kAgreement * scale)) return std::nullopt;
  // Richardson: the error of order h^2 cancels.
  return narrow + (narrow - wide) / 3;
}

// Adds a point, whose tensor inputs are the `num_inputs` numbers at `inputs`,
// to the report and to its last variable.
void Compare(double got, std::optional<double> want, const double* inputs,
             size_t num_inputs, GradientCheck& check) {
  if (std::isnan(got)) {
    ++check.num_nan;
    return;
  }
  if (!want) return;
  ++check.num_points;
  GradientCheck::Variable& variable = check.variables.back();
  const double error = std::fabs(got - *want) / std::max(1.0, std::fabs(*want));
  if (error > variable.max_error || variable.inputs.empty()) {
    variable.max_error = error;
    variable.inputs.assign(inputs, inputs + num_inputs);
    variable.gradient = got;
    variable.difference = *want;
  }
  if (error > check.max_error) {
    check.max_error = error;
    check.worst_input = inputs[0];
  }
}

// One row of elements, and the gradient of the sum of its results, each with a
// weight of its own. A point is the inputs of the first element, of the second,
// ..., then the parameters.
GradientCheck CheckRow(const Activation& activation) {
  constexpr size_t kSize = 11;
  const Graph& forward = activation.forward();
  const size_t num_inputs = forward.inputs.size();
  const auto weight = [](size_t element) { return 1 + 0.125 * element; };
  const auto row_of = [&](const Point& point, bool with_upstream) {
    std::vector<std::vector<double>> row(kSize);
    for (size_t e = 0; e < kSize; ++e) {
      const auto first = point.begin() + e * num_inputs;
      row[e].assign(first, first + num_inputs);
      if (with_upstream) row[e].push_back(weight(e));
    }
    return row;
  };
  const auto parameters_of = [&](const Point& point) {
    return Point(point.begin() + kSize * num_inputs, point.end());
  };
  Point seeds;
  for (const Parameter& parameter : forward.parameters) {
    seeds.push_back(parameter.default_value);
  }
  const auto value = [&](const Point& point) {
    const auto results = EvaluateRow<double>(forward, row_of(point, false),
                                             parameters_of(point), {seeds});
    double sum = 0;
    for (size_t e = 0; e < kSize; ++e) sum += weight(e) * results[0][e];
    return sum;
  };

  Point point;
  for (size_t e = 0; e < kSize; ++e) {
    for (size_t j = 0; j < num_inputs; ++j) {
      point.push_back(
          kProbe[(3 * e * (1 + 6 * j) + 5 * j) % std::size(kProbe)]);
    }
  }
  std::vector<std::string> variables = forward.inputs;
  for (const Parameter& parameter : forward.parameters) {
    point.push_back(parameter.default_value);
    variables.push_back(parameter.name);
  }
  GradientCheck check;
  if (!std::isfinite(value(point))) return check;
  for (size_t v = 0; v < variables.size(); ++v) {
    const auto gradient =
        activation.LowerBackward(DType::kFloat64, {variables[v]});
    if (!gradient.ok()) continue;
    check.variables.emplace_back().name = variables[v];
    const std::vector<double> got = EvaluateRow<double>(
        gradient->graph, row_of(point, true), parameters_of(point), {seeds})[0];
    if (v >= num_inputs) {
      const double sum = std::accumulate(got.begin(), got.end(), 0.0);
      const size_t at = kSize * num_inputs + v - num_inputs;
      Compare(sum, Difference(value, point, at), &point[0], num_inputs, check);
      continue;
    }
    for (size_t e = 0; e < kSize; ++e) {
      const size_t at = e * num_inputs + v;
      Compare(got[e], Difference(value, point, at), &point[e * num_inputs],
              num_inputs, check);
    }
  }
  return check;
}

}  // namespace

GradientCheck CheckGradient(const Activation& activation) {
  if (activation.reads_rows()) return CheckRow(activation);
  const Graph& forward = activation.forward();
  const size_t num_inputs = forward.inputs.size();
  std::vector<std::string> variables = forward.inputs;
  for (const Parameter& parameter : forward.parameters) {
    variables.push_back(parameter.name);
  }
  GradientCheck check;
  for (size_t at = 0; at < variables.size(); ++at) {
    // A seed has no neighbours.
    if (at >= num_inputs && activation.IsSeed(at - num_inputs)) continue;
    const auto gradient =
        activation.LowerBackward(DType::kFloat64, {variables[at]});
    if (!gradient.ok()) continue;
    check.variables.emplace_back().name = variables[at];
    for (size_t i = 0; i < std::size(kProbe); ++i) {
      Point point;
      point.reserve(variables.size());
      // Other inputs run through the set in another order.
      for (size_t j = 0; j < num_inputs; ++j) {
        point.push_back(kProbe[(i * (1 + 6 * j) + 5 * j) % std::size(kProbe)]);
      }
      for (const Parameter& parameter : forward.parameters) {
        point.push_back(parameter.default_value);
      }
      if (!std::isfinite(Value(forward, point, num_inputs, false))) continue;
      const bool has_upstream = gradient->graph.inputs.size() > num_inputs;
      const double got =
          Value(gradient->graph, point, num_inputs, has_upstream);
      const auto value = [&](const Point& moved) {
        return Value(forward, moved, num_inputs, false);
      };
      Compare(got, Difference(value, point, at), &point[0], num_inputs, check);
    }
  }
  return check;
}

std::string TellDifference(const GradientCheck::Variable& variable,
                           const std::vector<std::string>& inputs) {
  if (variable.max_error <= kAgreement) return "";
  std::string text = "at ";
  for (size_t i = 0; i < variable.inputs.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", inputs[i], " = ",
                    variable.inputs[i]);
  }
  absl::StrAppend(&text, " it is ", variable.gradient,
                  ", the slope of the function is ", variable.difference);
  return text;
}

}  // namespace actserve
