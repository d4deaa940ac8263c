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
#include "kernels/graph/graph.h"

namespace actserve {

// Computes in one number type: every op that returns a real, except leaves and
// kSelect, and every comparison. Ops of one operand ignore `b`.
template <typename T>
struct NumberOps;

template <>
struct NumberOps<float> {
  static float FromDouble(double value) { return static_cast<float>(value); }
  static float Apply(Op op, float a, float b);
  static bool Compare(Op op, float a, float b);
};

template <>
struct NumberOps<double> {
  static double FromDouble(double value) { return value; }
  static double Apply(Op op, double a, double b);
  static bool Compare(Op op, double a, double b);
};

// The value of every output of `graph` for one element. `inputs` and
// `parameters` have as many members as the graph has; a summed output gives
// this element's term.
template <typename T>
std::vector<T> Evaluate(const Graph& graph, absl::Span<const T> inputs,
                        absl::Span<const T> parameters) {
  const std::vector<Node>& nodes = graph.nodes();
  const std::vector<bool> live = graph.LiveNodes();
  std::vector<T> reals(nodes.size());
  std::vector<uint8_t> booleans(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!live[i]) continue;
    const Node& node = nodes[i];
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
      default:
        reals[i] = NumberOps<T>::Apply(node.op, reals[a],
                                       b == kNoNode ? reals[a] : reals[b]);
    }
  }
  std::vector<T> results;
  results.reserve(graph.outputs.size());
  for (const Output& output : graph.outputs) {
    results.push_back(reals[output.node]);
  }
  return results;
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_INTERPRET_H_
