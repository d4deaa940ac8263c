#include "kernels/graph/build/stabilize.h"

#include <algorithm>
#include <utility>

#include "kernels/graph/build/formula.h"
#include "kernels/graph/build/pattern.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/passes/simplify.h"

namespace actserve {
namespace {

// Applications at one node, one after the other. Formulas of three layers are
// the deepest known; the bound makes termination evident.
constexpr int kMaxRewritesAtNode = 16;

// Operands are rewritten before what uses them, so a left side is written in
// terms of what its parts become. The first rule that matches is applied.
std::vector<StabilizeRule> MakeRules() {
  return {
      // s(x) = 1 / (1 + e^-x), and s(-x) = 1 - s(x).
      {"exp(x) / (1 + exp(x))", "sigmoid(x)", "divide both by e^x"},
      {"1 / (1 + exp(-x))", "sigmoid(x)", "definition of s"},
      {"1 - sigmoid(x)", "sigmoid(-x)",
       "1 - 1/(1 + e^-x) = e^-x/(1 + e^-x) = 1/(1 + e^x)"},
      {"sigmoid(x) * sigmoid(-x)", "sigmoid_grad(x)",
       "s' = e^-x/(1 + e^-x)^2 = s(x) (1 - s(x)) = s(x) s(-x)"},
      {"x * sigmoid(x)", "silu(x)", "definition of silu"},
      // softplus(x) = log(1 + e^x), and log s(x) = -softplus(-x).
      {"log(1 + exp(x))", "softplus(x)", "definition of softplus"},
      {"log1p(exp(x))", "softplus(x)", "log1p(t) = log(1 + t)"},
      {"max(x, 0) + softplus(-abs(x))", "softplus(x)",
       "x >= 0: x + log(1 + e^-x) = log(e^x + 1); x < 0: the term itself"},
      {"x + softplus(-x)", "softplus(x)",
       "log(e^x) + log(1 + e^-x) = log(e^x + 1)"},
      {"min(x, 0) - softplus(-abs(x))", "logsigmoid(x)",
       "x < 0: x - log(1 + e^x) = log(e^x/(1 + e^x)); x >= 0: -log(1 + e^-x)"},
      {"log(sigmoid(x))", "logsigmoid(x)", "definition of logsigmoid"},
      {"-softplus(-x)", "logsigmoid(x)", "log s(x) = -log(1 + e^-x)"},
      // The normal distribution, Phi(x) = (1 + erf(x/sqrt 2)) / 2.
      {"1 + erf(x)", "erfc(-x)", "erfc(t) = 1 - erf(t), and erf is odd"},
      {"1 - erf(x)", "erfc(x)", "definition of erfc"},
      {"0.5 * erfc(-0.7071067811865476 * x)", "normcdf(x)",
       "Phi(x) = erfc(-x/sqrt 2) / 2"},
      {"1 - normcdf(x)", "normcdf(-x)", "phi is even"},
      {"x * normcdf(x)", "gelu(x)", "definition of gelu"},
      {"0.3989422804014327 * exp(-0.5 * (x * x))", "normpdf(x)",
       "phi(x) = e^(-x^2/2) / sqrt(2 pi)"},
      {"exp(-(x * x))", "exp_minus_square(x)", "definition"},
      // With u = sqrt(2/pi) (x + 0.044715 x^3): (1 + tanh u)/2 = s(2u).
      {"0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715*x*x*x)))",
       "gelu_tanh(x)", "(1 + tanh u)/2 = s(2u)"},
      {"0.5 * x * (1 + tanh(0.7978845608028654 * x * (1 + 0.044715*x*x)))",
       "gelu_tanh(x)", "x taken out of u"},
      {"x * sigmoid(1.5957691216057308 * (x + 0.044715*x*x*x))", "gelu_tanh(x)",
       "definition of gelu_tanh"},
      {"x * sigmoid(1.5957691216057308 * x * (1 + 0.044715*x*x))",
       "gelu_tanh(x)", "x taken out of u"},
      // After gelu_tanh, which is of this form too.
      {"x * sigmoid(b * x)", "scaled_silu(x, b)",
       "definition of scaled_silu, b a constant or parameter"},
      // Hyperbolic functions.
      {"(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)",
       "definition of tanh"},
      {"0.5 * (exp(x) - exp(-x))", "sinh(x)", "definition of sinh"},
      {"0.5 * (exp(x) + exp(-x))", "cosh(x)", "definition of cosh"},
      {"2 * sigmoid(x) - 1", "tanh(0.5 * x)",
       "2/(1 + e^-x) - 1 = (1 - e^-x)/(1 + e^-x), times e^(x/2) both"},
      {"0.5 * (1 + tanh(x))", "sigmoid(2 * x)",
       "(1 + tanh x)/2 = e^x/(e^x + e^-x) = 1/(1 + e^-2x)"},
      {"1 - tanh(x) * tanh(x)", "sech2(x)", "cosh^2 - sinh^2 = 1"},
      {"(1 - tanh(x)) * (1 + tanh(x))", "sech2(x)",
       "a difference of squares; cosh^2 - sinh^2 = 1"},
      {"1 / (cosh(x) * cosh(x))", "sech2(x)", "definition of sech"},
      {"x - tanh(x)", "tanhshrink(x)", "definition of tanhshrink"},
      {"x * tanh(softplus(x))", "mish(x)", "definition of mish"},
      // Cancellation near 0, and bases that have a function of their own.
      {"exp(x) - 1", "expm1(x)", "definition of expm1"},
      {"1 - exp(x)", "-expm1(x)", "definition of expm1"},
      {"log(1 + x)", "log1p(x)", "definition of log1p"},
      {"2 ** x", "exp2(x)", "definition of exp2"},
      {"2.718281828459045 ** x", "exp(x)", "definition of exp"},
      {"sqrt(x * x)", "abs(x)", "the root of a square is not negative"},
  };
}

// A side of a rule as a graph whose input is x and whose parameter is b.
Graph CompileSide(std::string_view side) {
  return CompileFormula("x, b=1", side);
}

struct CompiledRule {
  const StabilizeRule* rule;
  Graph left;
  Graph right;
};

const std::vector<CompiledRule>& CompiledRules() {
  static const auto* const compiled = [] {
    auto* rows = new std::vector<CompiledRule>;
    rows->reserve(StabilizeRules().size());
    for (const StabilizeRule& rule : StabilizeRules()) {
      rows->push_back({&rule, CompileSide(rule.left), CompileSide(rule.right)});
    }
    return rows;
  }();
  return *compiled;
}

// The node that replaces `node` by `row`, or kNoNode.
NodeId Rewrite(const CompiledRule& row, Graph& graph, NodeId node) {
  Matcher matcher(row.left, graph);
  if (!matcher.Match(node)) return kNoNode;
  const auto leaf = [&](const Node& input) {
    return input.op == Op::kParameter ? matcher.scale()
                                      : matcher.variable(input.index);
  };
  return matcher.Rest(AddFormula(row.right, graph, leaf));
}

}  // namespace

const std::vector<StabilizeRule>& StabilizeRules() {
  static const auto* const rules = new std::vector<StabilizeRule>(MakeRules());
  return *rules;
}

Graph Stabilize(const Graph& graph, std::vector<std::string>* rewrites) {
  Graph stable = WithSignatureOf(graph);
  const auto report = [rewrites](const StabilizeRule& rule) {
    if (rewrites == nullptr) return;
    std::string line =
        std::string(rule.left) + " -> " + std::string(rule.right);
    if (std::find(rewrites->begin(), rewrites->end(), line) ==
        rewrites->end()) {
      rewrites->push_back(std::move(line));
    }
  };
  const auto rewrite = [&](NodeId node) {
    for (const CompiledRule& row : CompiledRules()) {
      const NodeId better = Rewrite(row, stable, node);
      if (better == kNoNode || better == node) continue;
      report(*row.rule);
      return better;
    }
    return kNoNode;
  };
  const auto add = [&](Op op, NodeId a, NodeId b, NodeId c) {
    NodeId node = AddSimplified(stable, op, a, b, c);
    for (int i = 0; i < kMaxRewritesAtNode; ++i) {
      NodeId better = rewrite(node);
      if (better == kNoNode && stable.node(node).op == Op::kNeg) {
        // A sign that has left a product must not hide it.
        better = rewrite(stable.node(node).operands[0]);
        if (better != kNoNode) {
          better = AddSimplified(stable, Op::kNeg, better);
        }
      }
      if (better == kNoNode) break;
      node = better;
    }
    return node;
  };
  CopyOutputs(graph, CopyNodes(graph, stable, add), stable);
  return stable;
}

}  // namespace actserve
