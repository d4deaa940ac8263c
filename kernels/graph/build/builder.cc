#include "kernels/graph/build/builder.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/passes/power.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

// Steps of the walk (expressions and statements) per unit of the weight limit.
constexpr int64_t kStepsPerWeight = 20;
// Levels of nesting, summed over inlined functions, per level of a text.
constexpr int kInlinedDepthFactor = 4;

}  // namespace

void GraphBuilder::Error(Position position, std::string message) {
  if (outer_position_) position = *outer_position_;
  if (reported_.insert({position.line, position.column, message}).second) {
    diagnostics_.Error(position, std::move(message));
  }
}

// False, and an error, once the text has used up its budget.
bool GraphBuilder::Step(Position position) {
  if (over_budget_) return false;
  if (weight_ > limits_.weight) {
    Error(position, absl::StrCat("the program grows to at least ", weight_,
                                 " operations here, limit ", limits_.weight));
    over_budget_ = true;
  } else if (++steps_ > kStepsPerWeight * limits_.weight) {
    Error(position,
          absl::StrCat("unrolled and inlined, the text takes ", steps_,
                       " steps, limit ", kStepsPerWeight * limits_.weight));
    over_budget_ = true;
  }
  return !over_budget_;
}

bool GraphBuilder::Enter(Position position) {
  const int limit = kInlinedDepthFactor * limits_.depth;
  if (depth_ < limit) return true;
  Error(position, absl::StrCat("with its helpers inlined, the text nests ",
                               depth_ + 1, " levels deep, limit ", limit));
  over_budget_ = true;
  return false;
}

std::vector<NodeId> GraphBuilder::Run(const Module& module,
                                      const FunctionDef& function,
                                      const std::vector<NodeId>& arguments,
                                      size_t expected) {
  Frame frame{&module, &function, {}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    frame.environment[function.arguments[i].name] = {arguments[i]};
  }
  frames_.push_back(&frame);
  Flow flow = Block(function.body);
  frames_.pop_back();
  const bool failed = diagnostics_.has_errors() || over_budget_;
  if (!flow.returns && !failed) {
    Error(function.position,
          absl::StrCat("'", function.name,
                       "' does not return a value on every path"));
  } else if (flow.values.size() != expected && !failed) {
    Error(function.position,
          absl::StrCat("'", function.name, "' returns ", flow.values.size(),
                       " values, not ", expected));
  }
  flow.values.resize(expected, kNoNode);
  if (diagnostics_.has_errors()) return std::vector(expected, kNoNode);
  return flow.values;
}

// Statements.

GraphBuilder::Flow GraphBuilder::Block(const std::vector<Stmt>& body) {
  Flow flow;
  for (const Stmt& stmt : body) {
    if (flow.returns) {
      if (!outer_position_) {
        diagnostics_.Warning(stmt.position, "this is never reached");
      }
      break;
    }
    Flow next = Statement(stmt);
    for (Guard& guard : next.guards) flow.guards.push_back(std::move(guard));
    flow.returns = next.returns;
    flow.values = std::move(next.values);
    if (over_budget_) break;
  }
  if (!flow.returns) return flow;
  for (; !flow.guards.empty(); flow.guards.pop_back()) {
    const Guard& guard = flow.guards.back();
    flow.values = SelectValues(guard.condition, guard.values, flow.values);
  }
  return flow;
}

GraphBuilder::Flow GraphBuilder::Statement(const Stmt& stmt) {
  if (!Step(stmt.position) || !Enter(stmt.position)) return {};
  ++depth_;
  Flow flow;
  switch (stmt.kind) {
    case Stmt::Kind::kAssign:
      Assign(stmt);
      break;
    case Stmt::Kind::kIf:
      flow = If(stmt);
      break;
    case Stmt::Kind::kReturn:
      flow = Return(stmt);
      break;
    case Stmt::Kind::kFor:
      flow = For(stmt);
      break;
  }
  --depth_;
  return flow;
}

void GraphBuilder::Assign(const Stmt& stmt) {
  std::vector<NodeId> values;
  values.reserve(stmt.values.size());
  for (const ExprPtr& value : stmt.values) values.push_back(Eval(*value));
  for (size_t i = 0; i < stmt.targets.size(); ++i) {
    frames_.back()->environment[stmt.targets[i]] = {values[i]};
  }
}

GraphBuilder::Flow GraphBuilder::Return(const Stmt& stmt) {
  Flow flow;
  flow.returns = true;
  for (const ExprPtr& value : stmt.values) flow.values.push_back(Eval(*value));
  return flow;
}

GraphBuilder::Flow GraphBuilder::If(const Stmt& stmt) {
  const NodeId condition = Truth(*stmt.condition);
  if (const auto known = Known(condition)) {
    return Block(*known ? stmt.body : stmt.orelse);
  }
  Environment& names = frames_.back()->environment;
  // Copying the names is work that the budget has to see.
  steps_ += static_cast<int64_t>(names.size()) / 4;
  Environment before = names;
  Flow taken = Block(stmt.body);
  Environment after_taken = std::exchange(names, std::move(before));
  Flow other = Block(stmt.orelse);
  if (taken.returns) {
    // The statements after this run only if the other branch was taken.
  } else if (other.returns) {
    names = std::move(after_taken);
  } else {
    names = MergeNames(condition, after_taken, names);
  }
  return MergeFlows(condition, std::move(taken), std::move(other));
}

GraphBuilder::Flow GraphBuilder::MergeFlows(NodeId condition, Flow taken,
                                            Flow other) {
  Flow flow;
  if (taken.returns && other.returns) {
    flow.returns = true;
    flow.values = SelectValues(condition, taken.values, other.values);
    return flow;
  }
  if (taken.returns) {
    // The first guard that holds counts, so the others need not exclude it.
    flow.guards.push_back({condition, std::move(taken.values)});
    for (Guard& guard : other.guards) flow.guards.push_back(std::move(guard));
    return flow;
  }
  const NodeId inverse =
      condition == kNoNode ? kNoNode : Add(Op::kNot, condition);
  if (other.returns) {
    flow.guards.push_back({inverse, std::move(other.values)});
    for (Guard& guard : taken.guards) flow.guards.push_back(std::move(guard));
    return flow;
  }
  const auto join = [&](std::vector<Guard>& guards, NodeId when) {
    for (Guard& guard : guards) {
      guard.condition = when == kNoNode || guard.condition == kNoNode
                            ? kNoNode
                            : Add(Op::kAnd, when, guard.condition);
      flow.guards.push_back(std::move(guard));
    }
  };
  join(taken.guards, condition);
  join(other.guards, inverse);
  return flow;
}

GraphBuilder::Environment GraphBuilder::MergeNames(NodeId condition,
                                                   const Environment& taken,
                                                   const Environment& other) {
  Environment merged;
  for (const auto& [name, binding] : taken) {
    const auto it = other.find(name);
    // A name that one path leaves unassigned is not read again (parser.h).
    if (it == other.end()) continue;
    Binding& both = merged[name] = binding;
    if (it->second == binding || binding.is_mixed) continue;
    if (it->second.is_mixed) {
      both = it->second;
    } else if (condition == kNoNode || binding.node == kNoNode ||
               it->second.node == kNoNode) {
      both.node = kNoNode;
    } else if (graph_.is_bool(binding.node) !=
               graph_.is_bool(it->second.node)) {
      both.is_mixed = true;
    } else {
      both.node = Select(condition, binding.node, it->second.node);
    }
  }
  return merged;
}

std::vector<NodeId> GraphBuilder::SelectValues(NodeId condition,
                                               const std::vector<NodeId>& a,
                                               const std::vector<NodeId>& b) {
  const FunctionDef& function = *frames_.back()->function;
  if (a.size() != b.size()) {
    Error(function.position,
          absl::StrCat("'", function.name, "' returns ", a.size(),
                       " values on one path and ", b.size(), " on another"));
    return a;
  }
  std::vector<NodeId> result(a.size(), kNoNode);
  for (size_t i = 0; i < a.size(); ++i) {
    if (condition == kNoNode || a[i] == kNoNode || b[i] == kNoNode) continue;
    if (graph_.is_bool(a[i]) != graph_.is_bool(b[i])) {
      Error(function.position,
            absl::StrCat("'", function.name,
                         "' returns a number on one path and a truth value on "
                         "another"));
      continue;
    }
    result[i] = Select(condition, a[i], b[i]);
  }
  return result;
}

bool GraphBuilder::LoopBound(const Expr& expr, double* bound) {
  const NodeId node = Number(expr);
  if (node == kNoNode) return false;
  if (!graph_.is_constant(node)) {
    Error(expr.position,
          "the loop bound depends on the input; it must be a constant whole "
          "number");
    return false;
  }
  *bound = graph_.node(node).constant;
  if (!(std::fabs(*bound) < 1e15) || *bound != std::trunc(*bound)) {
    Error(expr.position,
          absl::StrCat("the loop bound is ", *bound, ", not a whole number"));
    return false;
  }
  return true;
}

GraphBuilder::Flow GraphBuilder::For(const Stmt& stmt) {
  double start, stop, step;
  if (!LoopBound(*stmt.values[0], &start) ||
      !LoopBound(*stmt.values[1], &stop) ||
      !LoopBound(*stmt.values[2], &step)) {
    return {};
  }
  if (step == 0) {
    Error(stmt.position, "the step of a range cannot be 0");
    return {};
  }
  Flow flow;
  for (double i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (!Step(stmt.position)) break;
    frames_.back()->environment[stmt.targets[0]] = {graph_.Constant(i)};
    Flow next = Block(stmt.body);
    for (Guard& guard : next.guards) flow.guards.push_back(std::move(guard));
    if (next.returns) {
      flow.returns = true;
      flow.values = std::move(next.values);
      break;
    }
  }
  return flow;
}

// Expressions.

NodeId GraphBuilder::Eval(const Expr& expr) {
  if (!Step(expr.position) || !Enter(expr.position)) return kNoNode;
  ++depth_;
  const NodeId result = EvalKind(expr);
  --depth_;
  return result;
}

NodeId GraphBuilder::EvalKind(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kNumber:
      return graph_.Constant(expr.number);
    case Expr::Kind::kBool:
      return graph_.Bool(expr.number != 0);
    case Expr::Kind::kName:
      return Name(expr);
    case Expr::Kind::kUnary: {
      const bool is_not = expr.op == "not";
      const NodeId operand =
          is_not ? Truth(*expr.args[0]) : Number(*expr.args[0]);
      if (operand == kNoNode) return kNoNode;
      return Add(is_not ? Op::kNot : Op::kNeg, operand);
    }
    case Expr::Kind::kBinary:
      return Binary(expr);
    case Expr::Kind::kCompare:
      return Compare(expr);
    case Expr::Kind::kBoolOp:
      return BoolOp(expr);
    case Expr::Kind::kConditional:
      return Conditional(expr);
    case Expr::Kind::kCall:
      return Call(expr);
  }
  return kNoNode;
}

NodeId GraphBuilder::Number(const Expr& expr) {
  const NodeId node = Eval(expr);
  if (node == kNoNode || !graph_.is_bool(node)) return node;
  Error(expr.position,
        "this is a truth value where a number is needed; write (1.0 if ... "
        "else 0.0)");
  return kNoNode;
}

NodeId GraphBuilder::Truth(const Expr& expr) {
  const NodeId node = Eval(expr);
  if (node == kNoNode || graph_.is_bool(node)) return node;
  Error(expr.position,
        "this is a number where a truth value is needed; compare it, for "
        "example with != 0");
  return kNoNode;
}

NodeId GraphBuilder::Name(const Expr& expr) {
  const Environment& names = frames_.back()->environment;
  const auto it = names.find(expr.name);
  if (it == names.end()) {
    // Only after a loop that runs no time at all.
    Error(expr.position, absl::StrCat("'", expr.name, "' is unassigned here"));
    return kNoNode;
  }
  if (it->second.is_mixed) {
    Error(expr.position, absl::StrCat("'", expr.name,
                                      "' is a number on one path and a truth "
                                      "value on another"));
    return kNoNode;
  }
  return it->second.node;
}

NodeId GraphBuilder::Binary(const Expr& expr) {
  const NodeId a = Number(*expr.args[0]);
  const NodeId b = Number(*expr.args[1]);
  if (a == kNoNode || b == kNoNode) return kNoNode;
  if (expr.op == "+") return Add(Op::kAdd, a, b);
  if (expr.op == "-") return Add(Op::kSub, a, b);
  if (expr.op == "*") return Add(Op::kMul, a, b);
  if (expr.op == "/") return Add(Op::kDiv, a, b);
  if (expr.op == "//") return Add(Op::kFloorDiv, a, b);
  if (expr.op == "%") return Add(Op::kFloorMod, a, b);
  return Add(Op::kPow, a, b);
}

NodeId GraphBuilder::Compare(const Expr& expr) {
  std::vector<NodeId> operands;
  operands.reserve(expr.args.size());
  for (const ExprPtr& arg : expr.args) operands.push_back(Number(*arg));
  NodeId all = kNoNode;
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    const NodeId a = operands[i], b = operands[i + 1];
    if (a == kNoNode || b == kNoNode) return kNoNode;
    const std::string& op = expr.ops[i];
    const NodeId one = op == "<"    ? Add(Op::kLess, a, b)
                       : op == "<=" ? Add(Op::kLessEqual, a, b)
                       : op == ">"  ? Add(Op::kLess, b, a)
                       : op == ">=" ? Add(Op::kLessEqual, b, a)
                       : op == "==" ? Add(Op::kEqual, a, b)
                                    : Add(Op::kNotEqual, a, b);
    all = all == kNoNode ? one : Add(Op::kAnd, all, one);
  }
  return all;
}

NodeId GraphBuilder::BoolOp(const Expr& expr) {
  const Op op = expr.op == "and" ? Op::kAnd : Op::kOr;
  NodeId all = kNoNode;
  bool failed = false;
  for (const ExprPtr& arg : expr.args) {
    const NodeId one = Truth(*arg);
    failed = failed || one == kNoNode;
    if (failed) continue;
    all = all == kNoNode ? one : Add(op, all, one);
  }
  return failed ? kNoNode : all;
}

NodeId GraphBuilder::Conditional(const Expr& expr) {
  const NodeId condition = Truth(*expr.args[1]);
  if (const auto known = Known(condition)) {
    return Eval(*expr.args[*known ? 0 : 2]);
  }
  const NodeId a = Eval(*expr.args[0]);
  const NodeId b = Eval(*expr.args[2]);
  if (condition == kNoNode || a == kNoNode || b == kNoNode) return kNoNode;
  if (graph_.is_bool(a) != graph_.is_bool(b)) {
    Error(expr.position,
          "one side of 'else' is a number, the other a truth value");
    return kNoNode;
  }
  return Select(condition, a, b);
}

// Nodes.

NodeId GraphBuilder::Account(NodeId id) {
  for (; accounted_nodes_ < graph_.nodes().size(); ++accounted_nodes_) {
    weight_ += Info(graph_.nodes()[accounted_nodes_].op).weight;
  }
  return id;
}

NodeId GraphBuilder::Add(Op op, NodeId a, NodeId b) {
  if (TakesBool(op, 0)) return Account(AddSimplified(graph_, op, a, b));
  if (graph_.is_constant(a) && (b == kNoNode || graph_.is_constant(b)) &&
      !Info(op).reads_row) {
    const double x = graph_.node(a).constant;
    const double y = b == kNoNode ? x : graph_.node(b).constant;
    return Info(op).returns_bool
               ? graph_.Bool(NumberOps<double>::Compare(op, x, y))
               : graph_.Constant(FoldConstants(op, x, y));
  }
  if (op == Op::kPow && graph_.is_constant(b)) {
    return Account(Power(graph_, a, graph_.node(b).constant));
  }
  return Account(graph_.Add(op, a, b));
}

NodeId GraphBuilder::Select(NodeId condition, NodeId a, NodeId b) {
  if (a == b) return a;
  if (const auto known = Known(condition)) return *known ? a : b;
  if (!graph_.is_bool(a)) {
    return Account(graph_.Add(Op::kSelect, condition, a, b));
  }
  return Add(Op::kOr, Add(Op::kAnd, condition, a),
             Add(Op::kAnd, Add(Op::kNot, condition), b));
}

std::optional<bool> GraphBuilder::Known(NodeId condition) const {
  if (condition == kNoNode || graph_.node(condition).op != Op::kBool) {
    return std::nullopt;
  }
  return graph_.node(condition).constant != 0;
}

}  // namespace actserve
