// Walks the tree of a text once and adds its nodes to a graph. Only build.cc
// uses it.
//
// The walk is bounded by a budget of steps besides the weight of the graph:
// helpers that call each other twice would make exponential work out of a
// short text even though sharing keeps the graph small.

#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_BUILDER_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_BUILDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernels/graph/graph.h"
#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// Adds to one graph; every function of a text runs through one builder, which
// keeps the budget. All three arguments must outlive it.
class GraphBuilder {
 public:
  GraphBuilder(Graph& graph, const LanguageLimits& limits,
               Diagnostics& diagnostics)
      : graph_(graph), limits_(limits), diagnostics_(diagnostics) {}

  // The values that `function` returns for `arguments` (one per argument),
  // `expected` of them; kNoNode where an error was reported.
  std::vector<NodeId> Run(const Module& module, const FunctionDef& function,
                          const std::vector<NodeId>& arguments,
                          size_t expected);

  // Reports once per place and message: loops and calls repeat themselves. In
  // the text of a built-in the place is its call.
  void Error(Position position, std::string message);

 private:
  // The value of a name at one point of the text.
  struct Binding {
    NodeId node = kNoNode;  // kNoNode: already reported, stay silent
    // A number on one path and a truth value on another: an error where read.
    bool is_mixed = false;

    bool operator==(const Binding&) const = default;
  };
  using Environment = std::map<std::string, Binding, std::less<>>;

  // The result of some statements: the values of the first guard that holds;
  // else `values` if `returns`; else execution continues after them.
  struct Guard {
    NodeId condition;
    std::vector<NodeId> values;
  };
  struct Flow {
    std::vector<Guard> guards;
    bool returns = false;
    std::vector<NodeId> values;
  };

  // A function being built.
  struct Frame {
    const Module* module;
    const FunctionDef* function;
    Environment environment;
  };

  bool Step(Position position);
  bool Enter(Position position);

  // Statements.
  Flow Block(const std::vector<Stmt>& body);
  Flow Statement(const Stmt& stmt);
  void Assign(const Stmt& stmt);
  Flow If(const Stmt& stmt);
  Flow For(const Stmt& stmt);
  Flow Return(const Stmt& stmt);
  bool LoopBound(const Expr& expr, double* bound);
  Flow MergeFlows(NodeId condition, Flow taken, Flow other);
  Environment MergeNames(NodeId condition, const Environment& taken,
                         const Environment& other);
  std::vector<NodeId> SelectValues(NodeId condition,
                                   const std::vector<NodeId>& a,
                                   const std::vector<NodeId>& b);

  // Expressions: kNoNode where an error was reported.
  NodeId Eval(const Expr& expr);
  NodeId EvalKind(const Expr& expr);
  NodeId Number(const Expr& expr);
  NodeId Truth(const Expr& expr);
  NodeId Name(const Expr& expr);
  NodeId Binary(const Expr& expr);
  NodeId Compare(const Expr& expr);
  NodeId BoolOp(const Expr& expr);
  NodeId Conditional(const Expr& expr);
  NodeId Call(const Expr& expr);
  NodeId CallPrimitive(const Expr& expr);
  NodeId Clamp(NodeId x, NodeId lo, NodeId hi);
  NodeId Draw(const Expr& expr, NodeId seed, NodeId stream);
  void NoteTie(const Expr& expr, const std::vector<NodeId>& arguments);
  NodeId CallFunction(const Module& module, const FunctionDef& function,
                      const Expr& expr);
  NodeId WithDeclaredGradient(const Module& module, const FunctionDef& function,
                              const FunctionDef& gradient,
                              const std::vector<NodeId>& arguments,
                              NodeId value, const Expr& expr);
  void NoteDerived(const Expr& expr, const FunctionDef& function,
                   const std::string& parameter);
  bool IsDeclaredLinear(const Module& module, const FunctionDef& function,
                        const FunctionDef& gradient);

  // Nodes.
  NodeId Add(Op op, NodeId a, NodeId b = kNoNode);
  NodeId Select(NodeId condition, NodeId a, NodeId b);
  NodeId Account(NodeId id);
  std::optional<bool> Known(NodeId condition) const;

  Graph& graph_;
  const LanguageLimits& limits_;
  Diagnostics& diagnostics_;
  std::vector<Frame*> frames_;
  // Errors in the text of a built-in are reported at its call, here.
  std::optional<Position> outer_position_;
  std::set<std::tuple<int, int, std::string>> reported_;
  std::set<std::pair<int, int>> noted_;
  absl::flat_hash_map<const FunctionDef*, bool> is_declared_linear_;
  size_t accounted_nodes_ = 0;
  int64_t weight_ = 0;
  int64_t steps_ = 0;
  int depth_ = 0;
  bool over_budget_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_BUILDER_H_
