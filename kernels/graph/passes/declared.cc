#include "kernels/graph/passes/declared.h"

#include <vector>

#include "kernels/graph/copy.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

// How a node depends on the upstream gradient.
enum class Dependence { kFree, kZero, kLinear, kOther };

bool IsLinear(Dependence d) {
  return d == Dependence::kLinear || d == Dependence::kZero;
}

Dependence Classify(const Node& node, Dependence a, Dependence b,
                    Dependence c) {
  const auto free = [](Dependence d) {
    return d == Dependence::kFree || d == Dependence::kZero;
  };
  if (free(a) && free(b) && free(c)) return Dependence::kFree;
  bool linear = false;
  switch (node.op) {
    case Op::kAdd:
    case Op::kSub:
      linear = IsLinear(a) && IsLinear(b);
      break;
    case Op::kNeg:
      linear = IsLinear(a);
      break;
    case Op::kMul:
      linear = (IsLinear(a) && free(b)) || (free(a) && IsLinear(b));
      break;
    case Op::kDiv:
      linear = IsLinear(a) && free(b);
      break;
    case Op::kSelect:
      linear = free(a) && IsLinear(b) && IsLinear(c);
      break;
    case Op::kDeclared:
      return a;
    default:
      break;
  }
  return linear ? Dependence::kLinear : Dependence::kOther;
}

}  // namespace

bool IsLinearInUpstream(const Graph& gradient) {
  const int32_t upstream = static_cast<int32_t>(gradient.inputs.size()) - 1;
  std::vector<Dependence> dependence;
  dependence.reserve(gradient.nodes().size());
  for (const Node& node : gradient.nodes()) {
    const auto of = [&](int index) {
      const NodeId operand = node.operands[index];
      return operand == kNoNode ? Dependence::kFree : dependence[operand];
    };
    if (node.op == Op::kInput && node.index == upstream) {
      dependence.push_back(Dependence::kLinear);
    } else if (node.op == Op::kConstant && node.constant == 0) {
      dependence.push_back(Dependence::kZero);
    } else {
      dependence.push_back(Classify(node, of(0), of(1), of(2)));
    }
  }
  for (const Output& output : gradient.outputs) {
    if (!IsLinear(dependence[output.node])) return false;
  }
  return true;
}

Graph WithUnitUpstream(const Graph& gradient) {
  const int32_t upstream = static_cast<int32_t>(gradient.inputs.size()) - 1;
  Graph graph = WithSignatureOf(gradient);
  graph.inputs.pop_back();
  const auto leaf = [&](const Node& node) {
    if (node.op == Op::kParameter) return graph.ParameterNode(node.index);
    return node.index == upstream ? graph.Constant(1) : graph.Input(node.index);
  };
  const auto add = [&graph](Op op, NodeId a, NodeId b, NodeId c) {
    return AddSimplified(graph, op, a, b, c);
  };
  CopyOutputs(gradient, CopyNodes(gradient, graph, leaf, add), graph);
  return graph;
}

Graph WithoutDeclared(const Graph& graph) {
  Graph result = WithSignatureOf(graph);
  const auto add = [&result](Op op, NodeId a, NodeId b, NodeId c) {
    return op == Op::kDeclared ? a : result.Add(op, a, b, c);
  };
  CopyOutputs(graph, CopyNodes(graph, result, add), result);
  return result;
}

}  // namespace actserve
