#include "kernels/lang/check.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/text.h"
#include "kernels/lang/expr.h"

namespace actserve {
namespace {

using NameSet = std::set<std::string>;

// How often `statement`, a loop, runs; nullopt if that depends on names.
std::optional<int64_t> TripCount(const Stmt& statement) {
  double bounds[3] = {};
  for (int i = 0; i < 3; ++i) {
    const std::optional<double> value = EvaluateConstant(*statement.values[i]);
    if (!value) return std::nullopt;
    bounds[i] = *value;
  }
  const double trips =
      bounds[2] == 0 ? 0 : std::ceil((bounds[1] - bounds[0]) / bounds[2]);
  if (!(trips > 0)) return 0;
  return static_cast<int64_t>(std::min(trips, 1e15));
}

// Finds the names that have a value at each point of one function.
class FlowChecker {
 public:
  FlowChecker(FunctionDef& function, Diagnostics& diagnostics)
      : function_(function), diagnostics_(diagnostics) {}

  void Run() {
    NameSet assigned;
    for (const Argument& argument : function_.arguments) {
      assigned.insert(argument.name);
    }
    if (!CheckBlock(function_.body, assigned)) {
      diagnostics_.Error(function_.position,
                         Concat(Quoted(function_.name),
                                " does not return a value on every "
                                "path"));
    }
  }

 private:
  // Adds what the block assigns for certain; true if every path returns.
  bool CheckBlock(std::vector<Stmt>& block, NameSet& assigned);
  bool CheckStatement(Stmt& statement, NameSet& assigned);
  void CheckExpr(const Expr& expr, const NameSet& assigned);

  FunctionDef& function_;
  Diagnostics& diagnostics_;
  NameSet reported_;
};

bool FlowChecker::CheckBlock(std::vector<Stmt>& block, NameSet& assigned) {
  for (size_t i = 0; i < block.size(); ++i) {
    if (!CheckStatement(block[i], assigned)) continue;
    if (i + 1 < block.size()) {
      diagnostics_.Warning(block[i + 1].position,
                           "this is never reached: every path above it "
                           "returns");
      block.erase(block.begin() + i + 1, block.end());
    }
    return true;
  }
  return false;
}

bool FlowChecker::CheckStatement(Stmt& statement, NameSet& assigned) {
  for (const ExprPtr& value : statement.values) CheckExpr(*value, assigned);
  switch (statement.kind) {
    case Stmt::Kind::kReturn:
      return true;
    case Stmt::Kind::kAssign:
      assigned.insert(statement.targets.begin(), statement.targets.end());
      return false;
    case Stmt::Kind::kIf: {
      CheckExpr(*statement.condition, assigned);
      NameSet otherwise = assigned;
      const bool body_returns = CheckBlock(statement.body, assigned);
      const bool orelse_returns = CheckBlock(statement.orelse, otherwise);
      if (body_returns) {
        assigned = std::move(otherwise);
      } else if (!orelse_returns) {
        NameSet both;
        std::set_intersection(assigned.begin(), assigned.end(),
                              otherwise.begin(), otherwise.end(),
                              std::inserter(both, both.end()));
        assigned = std::move(both);
      }
      return body_returns && orelse_returns;
    }
    case Stmt::Kind::kFor: {
      const std::optional<int64_t> trips = TripCount(statement);
      NameSet inside = assigned;
      inside.insert(statement.targets.begin(), statement.targets.end());
      const bool returns = CheckBlock(statement.body, inside);
      if (trips.value_or(0) == 0) return false;
      assigned = std::move(inside);
      return returns;
    }
  }
  return false;
}

void FlowChecker::CheckExpr(const Expr& expr, const NameSet& assigned) {
  if (expr.kind == Expr::Kind::kName && assigned.count(expr.name) == 0 &&
      reported_.insert(expr.name).second) {
    diagnostics_.Error(expr.position,
                       Concat(Quoted(expr.name),
                              " may have no value here: assign it on "
                              "every path before this line"));
  }
  for (const ExprPtr& arg : expr.args) CheckExpr(*arg, assigned);
}

// Finds which function calls which, and how deep and large each becomes.
class CallChecker {
 public:
  CallChecker(const Module& module, const LanguageLimits& limits,
              Diagnostics& diagnostics)
      : module_(module),
        limits_(limits),
        diagnostics_(diagnostics),
        states_(module.functions.size()) {}

  void Run() {
    for (size_t i = 0; i < states_.size(); ++i) Visit(static_cast<int>(i));
  }

 private:
  // Inlined helpers nest: an expression that calls one is as deep as both.
  static constexpr int kDepthFactor = 4;
  // One node of the tree may weigh less than one operation, never this much
  // less; the bound is on what the graph has to walk.
  static constexpr int64_t kNodesPerWeight = 20;

  struct Size {
    int depth = 0;
    int64_t nodes = 0;
  };
  struct State {
    enum { kNew, kOpen, kDone } visit = kNew;
    Size size;
  };

  // The calls of one function, each once, in the order of the text.
  struct CallSite {
    int helper;
    Position position;
  };
  static void CollectCalls(const Expr& expr, std::vector<CallSite>& calls);
  static void CollectCalls(const std::vector<Stmt>& block,
                           std::vector<CallSite>& calls);
  void Visit(int root);
  void Finish(int function);
  Size Measure(const Expr& expr) const;
  Size Measure(const std::vector<Stmt>& block) const;
  static void Join(const Size& part, Size& whole) {
    whole.depth = std::max(whole.depth, part.depth);
    whole.nodes = std::min<int64_t>(whole.nodes + part.nodes, int64_t{1} << 50);
  }

  const Module& module_;
  const LanguageLimits& limits_;
  Diagnostics& diagnostics_;
  std::vector<State> states_;
};

void CallChecker::CollectCalls(const Expr& expr, std::vector<CallSite>& calls) {
  if (expr.kind == Expr::Kind::kCall && expr.callee == Expr::Callee::kHelper) {
    calls.push_back({expr.helper, expr.position});
  }
  for (const ExprPtr& arg : expr.args) CollectCalls(*arg, calls);
}

void CallChecker::CollectCalls(const std::vector<Stmt>& block,
                               std::vector<CallSite>& calls) {
  for (const Stmt& statement : block) {
    for (const ExprPtr& value : statement.values) CollectCalls(*value, calls);
    if (statement.condition) CollectCalls(*statement.condition, calls);
    CollectCalls(statement.body, calls);
    CollectCalls(statement.orelse, calls);
  }
}

// Depth first with a stack of its own: a text may chain hundreds of helpers.
void CallChecker::Visit(int root) {
  struct Frame {
    int function;
    std::vector<CallSite> calls;
    size_t next = 0;
  };
  std::vector<Frame> stack;
  const auto enter = [&](int function) {
    states_[function].visit = State::kOpen;
    Frame frame{function, {}, 0};
    CollectCalls(module_.functions[function].body, frame.calls);
    stack.push_back(std::move(frame));
  };
  if (states_[root].visit == State::kNew) enter(root);
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (frame.next == frame.calls.size()) {
      Finish(frame.function);
      stack.pop_back();
      continue;
    }
    const CallSite call = frame.calls[frame.next++];
    if (states_[call.helper].visit == State::kNew) {
      enter(call.helper);
    } else if (states_[call.helper].visit == State::kOpen) {
      const std::string name = Quoted(module_.functions[call.helper].name);
      diagnostics_.Error(
          call.position,
          Concat(name, " calls itself",
                 call.helper == frame.function
                     ? ""
                     : Concat(" through ",
                              Quoted(module_.functions[frame.function].name)),
                 ": write it as a loop with a fixed count"));
    }
  }
}

void CallChecker::Finish(int function) {
  State& state = states_[function];
  state.visit = State::kDone;
  state.size = Measure(module_.functions[function].body);
  const int max_depth = kDepthFactor * limits_.depth;
  const int64_t max_nodes = kNodesPerWeight * limits_.weight;
  std::string problem;
  if (state.size.depth > max_depth) {
    problem =
        Concat("nests ", state.size.depth, " levels deep, limit ", max_depth);
  } else if (state.size.nodes > max_nodes) {
    problem =
        Concat("grows to ", state.size.nodes, " terms, limit ", max_nodes);
  } else {
    return;
  }
  diagnostics_.Error(
      module_.functions[function].position,
      Concat("with its helpers inlined and its loops "
             "unrolled, ",
             Quoted(module_.functions[function].name), " ", problem));
  state.size = {};  // Once is enough.
}

CallChecker::Size CallChecker::Measure(const Expr& expr) const {
  Size size;
  for (const ExprPtr& arg : expr.args) Join(Measure(*arg), size);
  if (expr.kind == Expr::Kind::kCall && expr.callee == Expr::Callee::kHelper) {
    Join(states_[expr.helper].size, size);
  }
  ++size.depth;
  ++size.nodes;
  return size;
}

CallChecker::Size CallChecker::Measure(const std::vector<Stmt>& block) const {
  Size size;
  for (const Stmt& statement : block) {
    Size inner;
    for (const ExprPtr& value : statement.values) Join(Measure(*value), inner);
    if (statement.condition) Join(Measure(*statement.condition), inner);
    Size body = Measure(statement.body);
    if (statement.kind == Stmt::Kind::kFor) {
      const int64_t trips = TripCount(statement).value_or(1);
      ++body.nodes;  // An empty body takes time too.
      body.nodes = body.nodes > (int64_t{1} << 50) / std::max<int64_t>(trips, 1)
                       ? int64_t{1} << 50
                       : body.nodes * trips;
    }
    Join(body, inner);
    Join(Measure(statement.orelse), inner);
    ++inner.depth;
    Join(inner, size);
  }
  return size;
}

}  // namespace

void CheckFlow(Module& module, Diagnostics& diagnostics) {
  for (FunctionDef& function : module.functions) {
    FlowChecker(function, diagnostics).Run();
  }
}

void CheckCalls(const LanguageLimits& limits, const Module& module,
                Diagnostics& diagnostics) {
  CallChecker(module, limits, diagnostics).Run();
}

}  // namespace actserve
