// The second half of builder.h: calls of primitives, helpers and built-ins,
// inlined with the gradient that they declare.

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/build/builder.h"
#include "kernels/graph/build/formula.h"
#include "kernels/graph/build/row_functions.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

// The parsed text of a built-in, or nullptr. Parsed once per process.
const Module* CatalogModule(std::string_view name) {
  static const auto* const modules = [] {
    auto* parsed = new std::map<std::string, Module, std::less<>>;
    for (const CatalogEntry& entry : Catalog()) {
      Diagnostics diagnostics(entry.text);
      auto module = Parse(entry.text, {}, LanguageLimits(), diagnostics);
      if (module) parsed->emplace(entry.name, *std::move(module));
    }
    return parsed;
  }();
  const auto it = modules->find(name);
  return it == modules->end() ? nullptr : &it->second;
}

// Primitives that are not an op of the graph.
constexpr std::string_view kCast = "float";  // 1 or 0 of a truth value
constexpr std::string_view kClamp = "clamp";

}  // namespace

NodeId GraphBuilder::Call(const Expr& expr) {
  switch (expr.callee) {
    case Expr::Callee::kPrimitive:
      return CallPrimitive(expr);
    case Expr::Callee::kHelper: {
      const Module& module = *frames_.back()->module;
      return CallFunction(module, module.functions[expr.helper], expr);
    }
    case Expr::Callee::kCatalog: {
      const Module* built_in = CatalogModule(expr.name);
      if (built_in != nullptr) {
        return CallFunction(*built_in, built_in->functions[built_in->main],
                            expr);
      }
    }
  }
  Error(expr.position, absl::StrCat("there is no function '", expr.name, "'"));
  return kNoNode;
}

NodeId GraphBuilder::CallPrimitive(const Expr& expr) {
  const bool is_cast = expr.name == kCast;
  std::vector<NodeId> arguments;
  arguments.reserve(expr.args.size());
  bool failed = false;
  for (const ExprPtr& arg : expr.args) {
    arguments.push_back(is_cast ? Eval(*arg) : Number(*arg));
    failed = failed || arguments.back() == kNoNode;
  }
  if (failed) return kNoNode;
  if (is_cast) {
    if (!graph_.is_bool(arguments[0])) return arguments[0];
    return Select(arguments[0], graph_.Constant(1), graph_.Constant(0));
  }
  if (expr.name == kClamp) {
    return Clamp(arguments[0], arguments[1], arguments[2]);
  }
  if (expr.name == "rowsize" || expr.name == "rowindex") {
    return Add(*FindOp(expr.name), graph_.Constant(0));
  }
  // Formulas are of ops only, so none of them asks for another one.
  if (expr.name.starts_with("row") && !FindOp(expr.name)) {
    if (const Graph* formula = FindRowFunction(expr.name)) {
      return Account(AddFormula(*formula, graph_, [&](const Node& input) {
        return arguments[input.index];
      }));
    }
  }
  if (expr.name == "max" || expr.name == "min") NoteTie(expr, arguments);
  const Op op = *FindOp(expr.name);
  if (IsDraw(op)) return Draw(expr, arguments[0], arguments[1]);
  return Add(op, arguments[0], arguments.size() == 2 ? arguments[1] : kNoNode);
}

NodeId GraphBuilder::Draw(const Expr& expr, NodeId seed, NodeId stream) {
  const auto error = [&](const std::string& message) {
    Error(expr.position, message);
    return kNoNode;
  };
  const Node& from = graph_.node(seed);
  if (from.op == Op::kParameter) {
    const Parameter& parameter = graph_.parameters[from.index];
    if (!IsDrawOperand(parameter.default_value, kMaxSeed)) {
      return error(absl::StrCat("the default of '", parameter.name, "' is ",
                                parameter.default_value,
                                ", but a seed is an integer from 0 to 2^53"));
    }
  } else if (from.op != Op::kConstant ||
             !IsDrawOperand(from.constant, kMaxSeed)) {
    return error(absl::StrCat("the seed of ", expr.name,
                              "() must be a parameter, unchanged, or an "
                              "integer constant from 0 to 2^53"));
  }
  if (!graph_.is_constant(stream) ||
      !IsDrawOperand(graph_.node(stream).constant, kMaxStream)) {
    return error(absl::StrCat("the stream of ", expr.name,
                              "() must be an integer constant from 0 to "
                              "2^32 - 1"));
  }
  return Account(graph_.Add(*FindOp(expr.name), seed, stream));
}

// min(max(x, lo), hi), but the derivative at the bounds is that of x: a choice
// rather than kMin and kMax, whose ties count half.
NodeId GraphBuilder::Clamp(NodeId x, NodeId lo, NodeId hi) {
  const NodeId below = Select(Add(Op::kLess, x, lo), Add(Op::kMin, lo, hi),
                              Select(Add(Op::kLess, hi, x), hi, x));
  return below;
}

// Half a gradient at 0 surprises who meant relu.
void GraphBuilder::NoteTie(const Expr& expr,
                           const std::vector<NodeId>& arguments) {
  const bool a = graph_.is_constant(arguments[0]);
  const bool b = graph_.is_constant(arguments[1]);
  if (a == b || outer_position_) return;
  const double bound = graph_.node(arguments[a ? 0 : 1]).constant;
  if (std::isinf(bound)) return;
  if (noted_.insert({expr.position.line, expr.position.column}).second) {
    diagnostics_.Note(
        expr.position,
        absl::StrCat("where both arguments of ", expr.name, "() are ", bound,
                     ", each has half of the gradient; choose a "
                     "side with 'if' to have all or nothing"));
  }
}

NodeId GraphBuilder::CallFunction(const Module& module,
                                  const FunctionDef& function,
                                  const Expr& expr) {
  std::vector<NodeId> arguments;
  arguments.reserve(expr.args.size());
  bool failed = false;
  for (const ExprPtr& arg : expr.args) {
    arguments.push_back(Eval(*arg));
    failed = failed || arguments.back() == kNoNode;
  }
  if (failed || !Step(expr.position)) return kNoNode;
  const auto outer_position = outer_position_;
  if (&module != frames_.back()->module && !outer_position_) {
    outer_position_ = expr.position;
  }
  NodeId value = Run(module, function, arguments, 1)[0];
  // A constant has no derivative, whatever was declared.
  if (value != kNoNode && function.gradient && !graph_.is_constant(value)) {
    const FunctionDef& gradient = module.functions[*function.gradient];
    value = WithDeclaredGradient(module, function, gradient, arguments, value,
                                 expr);
  }
  outer_position_ = outer_position;
  return value;
}

// value, with the derivative of sum_i(p_i * x_i) for the arguments x_i and
// their declared partial derivatives p_i, held constant. Where the gradient
// covers the inputs only, plus what the function derives from its parameters.
NodeId GraphBuilder::WithDeclaredGradient(const Module& module,
                                          const FunctionDef& function,
                                          const FunctionDef& gradient,
                                          const std::vector<NodeId>& arguments,
                                          NodeId value, const Expr& expr) {
  for (const Frame* frame : frames_) {
    // A gradient that computes the function itself needs its value only.
    if (frame->function == &gradient) return value;
  }
  if (!IsDeclaredLinear(module, function, gradient)) {
    Error(expr.position,
          absl::StrCat("the gradient declared for '", function.name,
                       "' is not linear in the upstream gradient, or reads "
                       "rows, so it cannot be used inside another activation"));
    return kNoNode;
  }
  const auto held = [this](NodeId node) {
    return Account(graph_.Add(Op::kDeclared, node, graph_.Constant(0)));
  };
  // In the order of the results: inputs, then parameters.
  std::vector<NodeId> covered, parameters, held_arguments;
  held_arguments.reserve(arguments.size());
  std::string derived;  // a parameter that is no constant
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_input = !function.arguments[i].default_value;
    (is_input ? covered : parameters).push_back(arguments[i]);
    held_arguments.push_back(is_input ? held(arguments[i]) : arguments[i]);
    if (!is_input && !graph_.is_constant(arguments[i])) {
      derived = function.arguments[i].name;
    }
  }
  std::vector<NodeId> gradient_arguments = covered;
  gradient_arguments.push_back(graph_.Constant(1));
  for (size_t i = gradient_arguments.size(); i < gradient.arguments.size();
       ++i) {
    for (size_t j = 0; j < arguments.size(); ++j) {
      if (function.arguments[j].name == gradient.arguments[i].name) {
        gradient_arguments.push_back(arguments[j]);
      }
    }
  }
  if (gradient.num_results > covered.size()) {
    covered.insert(covered.end(), parameters.begin(), parameters.end());
    derived.clear();
  }
  const std::vector<NodeId> partials =
      Run(module, gradient, gradient_arguments, covered.size());
  NodeId carrier = kNoNode;
  if (!derived.empty()) {
    carrier = Run(module, function, held_arguments, 1)[0];
    NoteDerived(expr, function, derived);
  }
  for (size_t i = 0; i < covered.size(); ++i) {
    if (partials[i] == kNoNode) return kNoNode;
    const NodeId term = Add(Op::kMul, held(partials[i]), covered[i]);
    carrier = carrier == kNoNode ? term : Add(Op::kAdd, carrier, term);
  }
  return Account(graph_.Add(Op::kDeclared, value, carrier));
}

// A gradient for the inputs only stands beside a derived one, which its author
// may not have meant.
void GraphBuilder::NoteDerived(const Expr& expr, const FunctionDef& function,
                               const std::string& parameter) {
  if (outer_position_) return;
  if (!noted_.insert({expr.position.line, expr.position.column}).second) {
    return;
  }
  diagnostics_.Warning(
      expr.position,
      absl::StrCat("'", function.name, "_grad' returns no gradient of '",
                   parameter, "', so the one derived from '", function.name,
                   "' is used: return one value for each parameter too to "
                   "declare it"));
}

bool GraphBuilder::IsDeclaredLinear(const Module& module,
                                    const FunctionDef& function,
                                    const FunctionDef& gradient) {
  const auto [it, inserted] = is_declared_linear_.try_emplace(&gradient, false);
  if (!inserted) return it->second;
  Graph alone;
  std::vector<NodeId> arguments;
  arguments.reserve(gradient.arguments.size());
  // The inputs, dy, and then parameters.
  const int32_t num_inputs = static_cast<int32_t>(function.NumInputs());
  const int32_t count = static_cast<int32_t>(gradient.arguments.size());
  if (count <= num_inputs) return false;
  for (int32_t i = 0; i < count; ++i) {
    if (i <= num_inputs) {
      alone.inputs.push_back(gradient.arguments[i].name);
      arguments.push_back(alone.Input(i));
    } else {
      alone.parameters.push_back({gradient.arguments[i].name, 0});
      arguments.push_back(alone.ParameterNode(i - num_inputs - 1));
    }
  }
  Diagnostics ignored("");
  GraphBuilder builder(alone, limits_, ignored);
  for (NodeId node :
       builder.Run(module, gradient, arguments, gradient.num_results)) {
    if (node == kNoNode) return false;
    alone.outputs.push_back({"", node});
  }
  // What reads rows has no derivative by element.
  const bool linear = !alone.HasRows() && IsLinearInUpstream(alone);
  is_declared_linear_[&gradient] = linear;
  return linear;
}

}  // namespace actserve
