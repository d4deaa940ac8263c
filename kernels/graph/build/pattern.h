// Matches formulas however they are spelled: factors and terms in any order and
// association, a quotient by a constant as a product with its reciprocal, signs
// anywhere. Constants match to nine digits, which is how people write sqrt(2 /
// pi).

#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_PATTERN_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_PATTERN_H_

#include <array>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernels/graph/graph.h"

namespace actserve {

// Tries one pattern on nodes of one graph. A pattern is a graph of one output
// whose inputs are its variables. If its root is a product it may be part of a
// larger one, whose other factors are then kept. A parameter of the pattern,
// which may stand in a product below the root, is its scale: all constants and
// parameters among the factors there, at least one that is not 1 or -1.
class Matcher {
 public:
  static constexpr int kMaxVariables = 2;

  // `subject` grows if a variable stands for a product that has no node yet.
  Matcher(const Graph& pattern, Graph& subject)
      : pattern_(pattern), subject_(subject) {}

  // True if the pattern matches at `node`. Then variable(i) and scale() are
  // what they matched, and Rest(x) is x times the factors that the pattern
  // left.
  bool Match(NodeId node);
  NodeId variable(int index) const { return variables_[index]; }
  NodeId scale() const { return scale_; }
  NodeId Rest(NodeId replacement);

 private:
  struct Factor {
    NodeId node;
    bool is_divisor;
  };
  struct Product {
    bool is_negative = false;
    std::vector<Factor> factors;
  };
  struct Term {
    NodeId node;
    bool is_negative;
  };
  // The rest of a match; returns whether it succeeded.
  using Next = absl::FunctionRef<bool()>;

  bool MatchNode(NodeId p, NodeId s, bool negate, Next next);
  bool MatchVariable(int index, NodeId s, bool negate, Next next);
  bool MatchOperands(NodeId p, NodeId s, Next next);
  bool MatchProduct(NodeId p, NodeId s, bool negate, bool is_root, Next next);
  bool MatchFactors(const std::vector<Factor>& wanted, size_t at,
                    const Product& have, bool is_root, Next next);
  bool MatchScale(const std::vector<Factor>& wanted, size_t at,
                  const Product& have, Next next);
  bool MatchVariableFactors(const std::vector<Factor>& wanted,
                            const Product& have, bool is_root, Next next);
  bool MatchSum(NodeId p, NodeId s, bool negate, Next next);
  bool MatchTerms(const std::vector<Term>& wanted, size_t at,
                  const std::vector<Term>& have, Next next);

  bool IsVariable(NodeId p) const { return pattern_.node(p).op == Op::kInput; }
  bool IsScale(NodeId p) const { return pattern_.node(p).op == Op::kParameter; }
  NodeId Make(const Product& product);

  const Graph& pattern_;
  Graph& subject_;
  std::array<NodeId, kMaxVariables> variables_ = {kNoNode, kNoNode};
  NodeId scale_ = kNoNode;
  Product rest_;
  bool has_rest_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_PATTERN_H_
