#include "kernels/codegen/cuda/arithmetic.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/op.h"

namespace actserve {

std::string ArithmeticPrinter::Print(
    const Graph& graph, absl::FunctionRef<std::string(int)> input) {
  std::string lines;
  const std::vector<bool> live = graph.LiveNodes();
  for (size_t id = 0; id < live.size(); ++id) {
    if (!live[id]) continue;
    const Node& node = graph.node(static_cast<NodeId>(id));
    absl::StrAppend(&lines, "    const ",
                    Info(node.op).returns_bool ? "bool" : "Number", " v", id,
                    " = ", Expression(graph, node, input), ";\n");
  }
  return lines;
}

std::string ArithmeticPrinter::Constant(double value) const {
  return is_double_ ? absl::StrFormat("__builtin_bit_cast(double, 0x%016xull)",
                                      __builtin_bit_cast(uint64_t, value))
                    : absl::StrFormat("__builtin_bit_cast(float, 0x%08xu)",
                                      __builtin_bit_cast(
                                          uint32_t, static_cast<float>(value)));
}

// A compiler's builtin: "__builtin_floorf(v1)".
std::string ArithmeticPrinter::Builtin(const char* name,
                                       const std::string& x) const {
  return absl::StrCat("__builtin_", name, is_double_ ? "(" : "f(", x, ")");
}

std::string ArithmeticPrinter::Expression(
    const Graph& graph, const Node& node,
    absl::FunctionRef<std::string(int)> input) {
  const std::string a = absl::StrCat("v", node.operands[0]);
  const std::string b = absl::StrCat("v", node.operands[1]);
  const std::string c = absl::StrCat("v", node.operands[2]);
  switch (node.op) {
    case Op::kInput:
      return input(node.index);
    case Op::kParameter:
      return absl::StrCat("parameters[", node.index, "]");
    case Op::kConstant:
      return Constant(node.constant);
    case Op::kBool:
      return node.constant != 0 ? "true" : "false";
    case Op::kAdd:
      return absl::StrCat(a, " + ", b);
    case Op::kSub:
      return absl::StrCat(a, " - ", b);
    case Op::kMul:
      return absl::StrCat(a, " * ", b);
    case Op::kDiv:
      return absl::StrCat(a, " / ", b);
    case Op::kNeg:
      return absl::StrCat("-", a);
    case Op::kAbs:
      return Builtin("fabs", a);
    case Op::kFloor:
      return Builtin("floor", a);
    case Op::kCeil:
      return Builtin("ceil", a);
    case Op::kRound:
      return Builtin("rint", a);
    case Op::kTrunc:
      return Builtin("trunc", a);
    case Op::kSqrt:
      return Builtin("sqrt", a);
    case Op::kSign:
      return absl::StrCat(a, " > 0 ? Number(1) : ", a,
                          " < 0 ? Number(-1) : ", a);
    case Op::kMin:
      return absl::StrCat(a, " < ", b, " || ", a, " != ", a, " ? ", a, " : ",
                          b);
    case Op::kMax:
      return absl::StrCat(b, " < ", a, " || ", a, " != ", a, " ? ", a, " : ",
                          b);
    case Op::kLess:
      return absl::StrCat(a, " < ", b);
    case Op::kLessEqual:
      return absl::StrCat(a, " <= ", b);
    case Op::kEqual:
      return absl::StrCat(a, " == ", b);
    case Op::kNotEqual:
      return absl::StrCat(a, " != ", b);
    case Op::kAnd:
      return absl::StrCat(a, " && ", b);
    case Op::kOr:
      return absl::StrCat(a, " || ", b);
    case Op::kNot:
      return absl::StrCat("!", a);
    case Op::kSelect:
      return absl::StrCat(a, " ? ", b, " : ", c);
    default:
      break;
  }
  const OpInfo& info = Info(node.op);
  symbols_.push_back(Symbol(node.op));
  if (IsDraw(node.op)) return Draw(graph, graph, node);
  return info.arity == 2 ? absl::StrCat(symbols_.back(), "(", a, ", ", b, ")")
                         : absl::StrCat(symbols_.back(), "(", a, ")");
}

std::string ArithmeticPrinter::PrintDraw(const Graph& program,
                                         const Graph& graph, NodeId id) {
  symbols_.push_back(Symbol(graph.node(id).op));
  return Draw(program, graph, graph.node(id));
}

std::string ArithmeticPrinter::Symbol(Op op) const {
  return absl::StrCat("actserve_", std::string(Info(op).name),
                      is_double_ ? "_f64" : "_f32");
}

std::string ArithmeticPrinter::Draw(const Graph& program, const Graph& graph,
                                    const Node& node) const {
  const Node& seed = graph.node(node.operands[0]);
  const double stream = graph.node(node.operands[1]).constant;
  const std::vector<int32_t> seeds = SeedParameters(program);
  const auto at = std::find(seeds.begin(), seeds.end(), seed.index);
  return absl::StrCat(
      Symbol(node.op), "(",
      seed.op == Op::kParameter
          ? absl::StrCat("draws[", 1 + (at - seeds.begin()), "]")
          : absl::StrCat(static_cast<uint64_t>(seed.constant), "ull"),
      ", ", static_cast<uint32_t>(stream), "u, draws[0] + element)");
}

}  // namespace actserve
