#include "kernels/graph/print.h"

#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve {
namespace {

// The operator that writes `op` between its operands, or "".
std::string_view InfixOf(Op op) {
  switch (op) {
    case Op::kAdd:
      return " + ";
    case Op::kSub:
      return " - ";
    case Op::kMul:
      return " * ";
    case Op::kDiv:
      return " / ";
    case Op::kFloorMod:
      return " % ";
    case Op::kFloorDiv:
      return " // ";
    case Op::kPow:
      return " ** ";
    case Op::kLess:
      return " < ";
    case Op::kLessEqual:
      return " <= ";
    case Op::kEqual:
      return " == ";
    case Op::kNotEqual:
      return " != ";
    case Op::kAnd:
      return " and ";
    case Op::kOr:
      return " or ";
    default:
      return "";
  }
}

std::string Call(std::string_view name, const std::string& a,
                 const std::string& b) {
  return absl::StrCat(std::string(name), "(", a, b.empty() ? "" : ", ", b, ")");
}

// The right side of a line; `a`, `b`, `c` are names or numbers.
std::string Operation(const Node& node, const std::string& a,
                      const std::string& b, const std::string& c) {
  const std::string infix(InfixOf(node.op));
  if (!infix.empty()) {
    // -2 ** x is -(2 ** x).
    const bool binds_less = node.op == Op::kPow && a[0] == '-';
    return binds_less ? absl::StrCat("(", a, ")", infix, b)
                      : absl::StrCat(a, infix, b);
  }
  switch (node.op) {
    case Op::kNeg:
      return absl::StrCat("-", a);
    case Op::kNot:
      return absl::StrCat("not ", a);
    case Op::kSelect:
      return absl::StrCat(b, " if ", a, " else ", c);
    default:
      return Call(Info(node.op).name, a, b);
  }
}

// Prefix of value names; no input or parameter looks like one.
std::string TemporaryPrefix(const Graph& graph) {
  std::string prefix = "t";
  const auto clashes = [&prefix](const std::string& name) {
    return name.size() > prefix.size() && name.starts_with(prefix) &&
           absl::ascii_isdigit(name[prefix.size()]);
  };
  const auto any_clashes = [&] {
    for (const std::string& name : graph.inputs) {
      if (clashes(name)) return true;
    }
    for (const Parameter& parameter : graph.parameters) {
      if (clashes(parameter.name)) return true;
    }
    return false;
  };
  while (any_clashes()) prefix += "_";
  return prefix;
}

// "def f(x, a=1.0):".
std::string Header(const Graph& graph, std::string_view name) {
  std::vector<std::string> arguments = graph.inputs;
  for (const Parameter& parameter : graph.parameters) {
    arguments.push_back(absl::StrCat(parameter.name, "=",
                                     PrintNumber(parameter.default_value)));
  }
  const bool is_taken = FindOp(name).has_value();
  return absl::StrCat("def ", std::string(name), is_taken ? "_" : "", "(",
                      absl::StrJoin(arguments, ", "), "):\n");
}

bool IsLeaf(Op op) {
  return op == Op::kInput || op == Op::kParameter || op == Op::kConstant ||
         op == Op::kBool;
}

// What stands for a leaf wherever it is used.
std::string Leaf(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::kInput:
      return graph.inputs[node.index];
    case Op::kParameter:
      return graph.parameters[node.index].name;
    case Op::kConstant:
      return PrintNumber(node.constant);
    default:
      return node.constant != 0 ? "True" : "False";
  }
}

// The whole lines that fit into `max_bytes`, and a note.
std::string Cut(const std::string& text, size_t max_bytes) {
  const size_t end = text.rfind('\n', max_bytes == 0 ? 0 : max_bytes - 1);
  const size_t size = end == std::string::npos ? 0 : end + 1;
  return absl::StrCat(
      text.substr(0, size),
      CutLine(absl::StrCat("the rest is beyond ", max_bytes, " bytes")));
}

}  // namespace

std::string PrintNumber(double value) {
  if (std::isnan(value)) return "math.nan";
  if (std::isinf(value)) return value > 0 ? "math.inf" : "-math.inf";
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string CutLine(std::string_view why) {
  return absl::StrCat("# cut: ", std::string(why), "\n");
}

std::string PrintGraph(const Graph& graph, std::string_view name,
                       size_t max_bytes) {
  std::string text = Header(graph, name);
  const std::string prefix = TemporaryPrefix(graph);
  const std::vector<bool> live = graph.LiveNodes();
  std::vector<std::string> values(graph.nodes().size());
  int count = 0;
  for (size_t i = 0; i < values.size() && text.size() <= max_bytes; ++i) {
    if (!live[i]) continue;
    const Node& node = graph.nodes()[i];
    if (IsLeaf(node.op)) {
      values[i] = Leaf(graph, node);
      continue;
    }
    const auto operand = [&](int index) {
      const NodeId id = node.operands[index];
      return id == kNoNode ? std::string() : values[id];
    };
    values[i] = absl::StrCat(prefix, count++);
    absl::StrAppend(&text, "    ", values[i], " = ",
                    Operation(node, operand(0), operand(1), operand(2)), "\n");
  }
  std::vector<std::string> results;
  results.reserve(graph.outputs.size());
  for (const Output& output : graph.outputs) {
    results.push_back(values[output.node]);
  }
  absl::StrAppend(&text, "    return ", absl::StrJoin(results, ", "), "\n");
  return text.size() <= max_bytes ? text : Cut(text, max_bytes);
}

}  // namespace actserve
