#include "kernels/accuracy/row_accuracy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "kernels/base/status_macros.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Real;

constexpr int64_t kMaxExactElements = int64_t{1} << 16;

double ToDouble(const Real& value) { return value.ToDouble(); }
double ToDouble(double value) { return value; }
Real ErrorOf(double computed, const Real& exact) {
  return Abs(Real(computed) - exact);
}
double ErrorOf(double computed, double exact) {
  return std::fabs(computed - exact);
}

// The unit in the last place of numbers of type T of the size of `value`.
template <typename T>
double Ulp(double value) {
  constexpr int kDigits = std::numeric_limits<T>::digits - 1;
  int exponent = std::numeric_limits<T>::min_exponent - 1;
  if (value != 0) exponent = std::max(exponent, std::ilogb(value));
  return std::ldexp(1.0, exponent - kDigits);
}

// Rows one after the other. Element e has inputs x[e] and, of a gradient,
// dy[e].
template <typename T>
struct Sample {
  std::vector<T> x, dy;
};

struct Distribution {
  double mean, deviation;
};
constexpr Distribution kDistributions[] = {{0, 30},   {3, 1},    {0, 1},
                                           {0, 0.01}, {3, 0.01}, {3, 30}};
// Of these, for long rows: the references take long.
constexpr size_t kNumForLongRows = 2;
constexpr int64_t kLongRow = 10'000;

template <typename T>
Sample<T> MakeSample(int64_t row_size) {
  std::mt19937_64 random(row_size);
  std::normal_distribution<double> numbers;
  Sample<T> sample;
  const int64_t num_rows = std::clamp<int64_t>(1000 / row_size, 1, 100);
  absl::Span<const Distribution> distributions = kDistributions;
  if (row_size > kLongRow) {
    distributions = distributions.first(kNumForLongRows);
  }
  for (const auto& [mean, deviation] : distributions) {
    for (int64_t i = 0; i < num_rows * row_size; ++i) {
      sample.x.push_back(static_cast<T>(mean + deviation * numbers(random)));
      sample.dy.push_back(static_cast<T>(numbers(random)));
    }
  }
  return sample;
}

template <typename T>
absl::StatusOr<std::vector<T>> RunOnDevice(Device& device,
                                           const LoweredProgram& lowered,
                                           const Sample<T>& sample,
                                           int64_t row_size) {
  ACTSERVE_ASSIGN_OR_RETURN(auto program, device.Compile(lowered));
  std::vector<T> y(sample.x.size());
  const size_t size_bytes = y.size() * sizeof(T);
  const Fragment fragments[] = {
      {reinterpret_cast<const std::byte*>(sample.x.data()), size_bytes},
      {reinterpret_cast<const std::byte*>(sample.dy.data()), size_bytes}};
  WorkItem item;
  for (int i = 0; i < lowered.num_tensor_inputs(); ++i) {
    item.inputs.emplace_back(&fragments[i], 1);
  }
  for (const Parameter& parameter : lowered.graph.parameters) {
    item.parameters.push_back(parameter.default_value);
  }
  item.num_elements = static_cast<int64_t>(y.size());
  item.rows = {.size = row_size};
  item.outputs = {reinterpret_cast<std::byte*>(y.data())};
  ACTSERVE_RETURN_IF_ERROR(device.Run(*program, absl::MakeSpan(&item, 1)));
  return y;
}

// By node, then by element; empty for booleans.
using Values = std::vector<std::vector<double>>;

// The size of the terms of node `id`, from those of its operands: to first
// order, a relative error of one unit in each leaf and each operation has an
// effect of some units of it.
std::vector<double> TermsOf(const Graph& graph, NodeId id, const Values& values,
                            const Values& terms) {
  const Node& node = graph.node(id);
  const std::vector<double>& value = values[id];
  std::vector<double> result(value.size());
  // Of an operand: what its terms are larger than itself by, relatively.
  const auto excess = [&](int operand, size_t e) {
    const double size = std::fabs(values[node.operands[operand]][e]);
    return size == 0 ? 0 : terms[node.operands[operand]][e] / size - 1;
  };
  for (size_t e = 0; e < value.size(); ++e) {
    const auto term = [&](int operand) {
      return terms[node.operands[operand]][e];
    };
    const double size = std::fabs(value[e]);
    switch (node.op) {
      case Op::kAdd:
      case Op::kSub:
        result[e] = term(0) + term(1);
        break;
      case Op::kNeg:
        result[e] = term(0);
        break;
      case Op::kMul:
      case Op::kDiv:
        result[e] = size * (1 + excess(0, e) + excess(1, e));
        break;
      case Op::kSqrt:
        result[e] = size * (1 + excess(0, e) / 2);
        break;
      case Op::kExp:
        result[e] = size * (1 + term(0));
        break;
      case Op::kLog:
        result[e] = size + 1 + excess(0, e);
        break;
      case Op::kMax:
      case Op::kSelect: {
        const int first = node.op == Op::kMax ? 0 : 1;
        const bool takes_first = values[node.operands[first]][e] == value[e];
        result[e] = term(takes_first ? first : first + 1);
        break;
      }
      default:
        result[e] = size;
    }
  }
  if (node.op == Op::kRowSum || node.op == Op::kRowMax) {
    double all = 0;
    for (const double term : terms[node.operands[0]]) {
      all = node.op == Op::kRowSum ? all + term : std::max(all, term);
    }
    std::fill(result.begin(), result.end(), all);
  }
  return result;
}

template <typename T, typename Exact>
void Compare(double computed, const Exact& exact, double terms,
             RowAccuracy& accuracy) {
  const double rounded = static_cast<T>(ToDouble(exact));
  if (!std::isfinite(computed) || !std::isfinite(rounded)) {
    if (std::isfinite(computed) != std::isfinite(rounded)) {
      ++accuracy.num_special_mismatches;
    }
    return;
  }
  const double error = ToDouble(ErrorOf(computed, exact));
  accuracy.max_ulp = std::max(accuracy.max_ulp, error / Ulp<T>(rounded));
  accuracy.max_term_ulp =
      std::max(accuracy.max_term_ulp,
               error / Ulp<T>(std::max(std::fabs(rounded), terms)));
}

// `graph` has one output, and the gradient at the end of its inputs if it reads
// one.
template <typename T, typename Exact>
void CompareRow(Graph graph, const Sample<T>& sample, const std::vector<T>& y,
                int64_t begin, int64_t end, RowAccuracy& accuracy) {
  const NodeId result = graph.outputs[0].node;
  const std::vector<bool> live = graph.LiveNodes();
  std::vector<NodeId> nodes;
  graph.outputs.clear();
  for (NodeId i = 0; i <= result; ++i) {
    if (!live[i] || graph.is_bool(i)) continue;
    nodes.push_back(i);
    graph.outputs.push_back({"", i});
  }
  std::vector<Exact> parameters;
  for (const Parameter& parameter : graph.parameters) {
    parameters.push_back(static_cast<T>(parameter.default_value));
  }
  std::vector<std::vector<Exact>> inputs;
  for (int64_t i = begin; i < end; ++i) {
    inputs.push_back({Exact(sample.x[i]), Exact(sample.dy[i])});
  }
  const auto exact = EvaluateRow<Exact>(graph, inputs, parameters);
  Values values(result + 1), terms(result + 1);
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (const Exact& value : exact[n]) {
      values[nodes[n]].push_back(ToDouble(value));
    }
    terms[nodes[n]] = TermsOf(graph, nodes[n], values, terms);
  }
  for (int64_t i = begin; i < end; ++i) {
    Compare<T, Exact>(y[i], exact.back()[i - begin], terms[result][i - begin],
                      accuracy);
  }
}

template <typename T>
absl::StatusOr<RowAccuracy> Measure(Device& device,
                                    const Activation& activation, DType dtype,
                                    bool derivative, int64_t row_size) {
  const auto lower = [&](DType type) {
    return derivative ? activation.LowerBackward(type, activation.inputs())
                      : activation.LowerForward(type, {});
  };
  ACTSERVE_ASSIGN_OR_RETURN(const LoweredProgram lowered, lower(dtype));
  ACTSERVE_ASSIGN_OR_RETURN(const LoweredProgram exact, lower(DType::kFloat64));
  const Sample<T> sample = MakeSample<T>(row_size);
  ACTSERVE_ASSIGN_OR_RETURN(const std::vector<T> y,
                            RunOnDevice(device, lowered, sample, row_size));
  RowAccuracy accuracy;
  for (size_t i = 0; i < y.size(); i += row_size) {
    const auto begin = static_cast<int64_t>(i);
    if (row_size <= kMaxExactElements) {
      CompareRow<T, Real>(exact.graph, sample, y, begin, begin + row_size,
                          accuracy);
    } else {
      CompareRow<T, double>(exact.graph, sample, y, begin, begin + row_size,
                            accuracy);
    }
  }
  return accuracy;
}

}  // namespace

absl::StatusOr<RowAccuracy> MeasureRowAccuracy(Device& device,
                                               const Activation& activation,
                                               DType dtype, bool derivative,
                                               int64_t row_size) {
  if (activation.inputs().size() != 1) {
    return absl::InvalidArgumentError("only one input can be measured");
  }
  if (dtype == DType::kFloat32) {
    return Measure<float>(device, activation, dtype, derivative, row_size);
  }
  if (dtype == DType::kFloat64 && row_size <= kMaxExactElements) {
    return Measure<double>(device, activation, dtype, derivative, row_size);
  }
  return absl::InvalidArgumentError(
      "float64 has no more exact type for rows so long, and 16-bit types are "
      "not measured");
}

}  // namespace actserve
