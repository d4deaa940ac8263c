#include "kernels/activation/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

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
  return Evaluate<double>(graph, inputs, parameters)[0];
}

// d(forward)/d(point[at]), or nothing at kinks, jumps and non-finite values.
std::optional<double> Difference(const Graph& forward, const Point& point,
                                 size_t num_inputs, size_t at) {
  const auto slope = [&](double h) {
    Point up = point, down = point;
    up[at] += h;
    down[at] -= h;
    return (Value(forward, up, num_inputs, false) -
            Value(forward, down, num_inputs, false)) /
           (up[at] - down[at]);
  };
  const double h = 1e-4 * std::max(1.0, std::fabs(point[at]));
  const double wide = slope(h), narrow = slope(h / 2);
  const double scale = std::max(1.0, std::fabs(narrow));
  if (!(std::fabs(wide - narrow) <= kAgreement * scale)) return std::nullopt;
  // Richardson: the error of order h^2 cancels.
  return narrow + (narrow - wide) / 3;
}

}  // namespace

GradientCheck CheckGradient(const Activation& activation) {
  const Graph& forward = activation.forward();
  const size_t num_inputs = forward.inputs.size();
  std::vector<std::string> variables = forward.inputs;
  for (const Parameter& parameter : forward.parameters) {
    variables.push_back(parameter.name);
  }
  GradientCheck check;
  for (size_t at = 0; at < variables.size(); ++at) {
    const auto gradient =
        activation.LowerBackward(DType::kFloat64, {variables[at]});
    if (!gradient.ok()) continue;
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
      if (std::isnan(got)) {
        ++check.num_nan;
        continue;
      }
      const auto want = Difference(forward, point, num_inputs, at);
      if (!want) continue;
      ++check.num_points;
      const double error =
          std::fabs(got - *want) / std::max(1.0, std::fabs(*want));
      if (error > check.max_error) {
        check.max_error = error;
        check.worst_input = point[0];
      }
    }
  }
  return check;
}

}  // namespace actserve
