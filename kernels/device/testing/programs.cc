#include "kernels/device/testing/programs.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/device/testing/reference.h"

namespace actserve::testing {

LoweredProgram AddProgram(double addend, DType dtype) {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId sum =
      graph.Add(Op::kAdd, graph.Input(0), graph.Constant(addend));
  graph.outputs = {{"y", sum}};
  return MakeProgram(absl::StrCat("add ", addend), std::move(graph), dtype);
}

LoweredProgram SpikyProgram() {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  const NodeId r = graph.Add(Op::kSub, x, graph.Add(Op::kFloor, x));
  const NodeId low = graph.Add(Op::kLessEqual, r, graph.Constant(0.5));
  graph.outputs = {{"y", graph.Add(Op::kSelect, low, r, graph.Constant(0))}};
  return MakeProgram("spiky", std::move(graph), DType::kFloat32);
}

LoweredProgram SlopeProgram() {
  Graph graph;
  graph.inputs = {"x"};
  graph.parameters = {{"slope", 0.25}};
  const NodeId x = graph.Input(0);
  graph.outputs = {{"y", graph.Add(Op::kMul, x, graph.ParameterNode(0)), false},
                   {"dslope", x, true}};
  return MakeProgram("slope", std::move(graph), DType::kFloat32);
}

Graph OpGraph(Op op) {
  Graph graph;
  const OpInfo& info = Info(op);
  graph.inputs.resize(op == Op::kSelect ? 3 : std::max(info.arity, 1));
  std::array<NodeId, 3> operands = {kNoNode, kNoNode, kNoNode};
  for (int i = 0; i < info.arity; ++i) {
    operands[i] = graph.Input(i);
    if (TakesBool(op, i)) {
      operands[i] = graph.Add(Op::kLess, operands[i], graph.Constant(0.5));
    }
    if (IsDraw(op)) operands[i] = graph.Constant(5 + i);
  }
  NodeId result = graph.Add(op, operands[0], operands[1], operands[2]);
  if (info.returns_bool) {
    result =
        graph.Add(Op::kSelect, result, graph.Constant(1), graph.Constant(-0.0));
  }
  graph.outputs = {{"y", result}};
  return graph;
}

}  // namespace actserve::testing
