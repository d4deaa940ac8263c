// The interpreter: slow and obvious. Every device must equal it.
//
// In float and double it uses the functions of the op table, so a compiled
// program must give the same bits (any NaN equals any NaN). Another number type
// is added by specializing NumberOps; accuracy is judged against the one of 320
// bits in reference/real_ops.h.

#ifndef ACTSERVE_KERNELS_GRAPH_INTERPRET_H_
#define ACTSERVE_KERNELS_GRAPH_INTERPRET_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/base/dtype.h"
#include "kernels/graph/graph.h"

namespace actserve {

// The operands of a draw, and the place of the element in its tensor.
struct DrawOperands {
  uint64_t seed = 0;
  uint32_t stream = 0;
  uint64_t element = 0;
  // The type that the program computes in: a number type that can hold them all
  // has the numbers of this one.
  DType type = DType::kFloat64;
};

// Computes in one number type: every op that returns a real, except leaves and
// kSelect, every comparison, every draw, and every row op, for all elements of
// a row. Ops of one operand ignore `b`.
template <typename T>
struct NumberOps;

template <>
struct NumberOps<float> {
  static float FromDouble(double value) { return static_cast<float>(value); }
  static float Apply(Op op, float a, float b);
  static float Draw(Op op, const DrawOperands& operands);
  static bool Compare(Op op, float a, float b);
  static std::vector<float> ApplyToRow(Op op, absl::Span<const float> a,
                                       absl::Span<const float> b);
};

template <>
struct NumberOps<double> {
  static double FromDouble(double value) { return value; }
  static double Apply(Op op, double a, double b);
  static double Draw(Op op, const DrawOperands& operands);
  static bool Compare(Op op, double a, double b);
  static std::vector<double> ApplyToRow(Op op, absl::Span<const double> a,
                                        absl::Span<const double> b);
};

// What draws depend on beside their streams: the parameters before they are
// rounded, the place of the element, and the type that the program computes in.
// A graph without draws does not ask.
struct DrawState {
  absl::Span<const double> parameters;
  uint64_t element = 0;
  DType type = DType::kFloat64;
};

// The values of the nodes of a graph for one element: numbers and booleans, by
// node.
template <typename T>
struct NodeValues {
  std::vector<T> reals;
  std::vector<uint8_t> booleans;

  // Sets the value of node `i`, which is no row op, from those of its operands.
  void Set(const Graph& graph, size_t i, absl::Span<const T> inputs,
           absl::Span<const T> parameters, const DrawState& draws) {
    const Node& node = graph.nodes()[i];
    const auto [a, b, c] = node.operands;
    switch (node.op) {
      case Op::kInput:
        reals[i] = inputs[node.index];
        break;
      case Op::kParameter:
        reals[i] = parameters[node.index];
        break;
      case Op::kConstant:
        reals[i] = NumberOps<T>::FromDouble(node.constant);
        break;
      case Op::kBool:
        booleans[i] = node.constant != 0;
        break;
      case Op::kLess:
      case Op::kLessEqual:
      case Op::kEqual:
      case Op::kNotEqual:
        booleans[i] = NumberOps<T>::Compare(node.op, reals[a], reals[b]);
        break;
      case Op::kAnd:
        booleans[i] = booleans[a] && booleans[b];
        break;
      case Op::kOr:
        booleans[i] = booleans[a] || booleans[b];
        break;
      case Op::kNot:
        booleans[i] = !booleans[a];
        break;
      case Op::kSelect:
        reals[i] = booleans[a] ? reals[b] : reals[c];
        break;
      case Op::kDeclared:
        reals[i] = reals[a];
        break;
      case Op::kUniform:
      case Op::kNormal: {
        const Node& seed = graph.node(a);
        const double value = seed.op == Op::kParameter
                                 ? draws.parameters[seed.index]
                                 : seed.constant;
        reals[i] = NumberOps<T>::Draw(
            node.op, {static_cast<uint64_t>(value),
                      static_cast<uint32_t>(graph.node(b).constant),
                      draws.element, draws.type});
        break;
      }
      default:
        reals[i] = NumberOps<T>::Apply(node.op, reals[a],
                                       b == kNoNode ? reals[a] : reals[b]);
    }
  }
};

// The value of every output of `graph`, which has no row op, for one element.
// `inputs` and `parameters` have as many members as the graph has; a summed
// output gives this element's term.
template <typename T>
std::vector<T> Evaluate(const Graph& graph, absl::Span<const T> inputs,
                        absl::Span<const T> parameters,
                        const DrawState& draws = {}) {
  const size_t num_nodes = graph.nodes().size();
  const std::vector<bool> live = graph.LiveNodes();
  NodeValues<T> values = {std::vector<T>(num_nodes),
                          std::vector<uint8_t>(num_nodes)};
  for (size_t i = 0; i < num_nodes; ++i) {
    if (live[i]) values.Set(graph, i, inputs, parameters, draws);
  }
  std::vector<T> results;
  results.reserve(graph.outputs.size());
  for (const Output& output : graph.outputs) {
    results.push_back(values.reals[output.node]);
  }
  return results;
}

// The same for one row: the values of every output for each of its elements.
// inputs[e] are those of element e, whose place is that of `draws` and `stride`
// more for each element before it.
template <typename T>
std::vector<std::vector<T>> EvaluateRow(
    const Graph& graph, const std::vector<std::vector<T>>& inputs,
    absl::Span<const T> parameters, const DrawState& draws = {},
    uint64_t stride = 1) {
  const size_t num_nodes = graph.nodes().size();
  const std::vector<bool> live = graph.LiveNodes();
  std::vector<NodeValues<T>> row(
      inputs.size(),
      {std::vector<T>(num_nodes), std::vector<uint8_t>(num_nodes)});
  for (size_t i = 0; i < num_nodes; ++i) {
    if (!live[i]) continue;
    const Node& node = graph.nodes()[i];
    if (Info(node.op).reads_row) {
      const auto operand = [&](int index) {
        std::vector<T> values;
        values.reserve(row.size());
        const NodeId id = node.operands[index];
        for (const NodeValues<T>& element : row) {
          values.push_back(id == kNoNode ? T() : element.reals[id]);
        }
        return values;
      };
      const std::vector<T> values =
          NumberOps<T>::ApplyToRow(node.op, operand(0), operand(1));
      for (size_t e = 0; e < row.size(); ++e) row[e].reals[i] = values[e];
    } else {
      DrawState at = draws;
      for (size_t e = 0; e < row.size(); ++e, at.element += stride) {
        row[e].Set(graph, i, inputs[e], parameters, at);
      }
    }
  }
  std::vector<std::vector<T>> results(graph.outputs.size());
  for (size_t o = 0; o < results.size(); ++o) {
    results[o].reserve(row.size());
    for (const NodeValues<T>& element : row) {
      results[o].push_back(element.reals[graph.outputs[o].node]);
    }
  }
  return results;
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_INTERPRET_H_
