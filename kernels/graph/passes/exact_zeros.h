// Products in which a branch that is exactly 0 stays exactly 0.
//
// The derivative of `x if x > 0 else 0` is 1 or 0 by the branch. Multiplying
// by that 0 would turn an infinite or NaN factor into NaN; here such a product
// becomes a choice: 0 where a factor chooses 0, otherwise the product of what
// the factors choose. The choices of both factors are merged into one
// condition, so that chains of products stay linear in size.
//
// Choices behind a kDeclared count. The product is then a kDeclared, too: its
// value is as if nothing was declared, its derivative that of a plain product.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_EXACT_ZEROS_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_EXACT_ZEROS_H_

#include "absl/container/flat_hash_map.h"
#include "kernels/graph/graph.h"

namespace actserve {

// Adds nodes to `graph`, which must outlive it.
class ExactZeros {
 public:
  explicit ExactZeros(Graph& graph) : graph_(graph) {}

  NodeId Times(NodeId a, NodeId b);  // a * b
  NodeId Over(NodeId a, NodeId b);   // a / b, where only the zeros of a count
  NodeId Negated(NodeId a);          // -a

 private:
  // Of values without kDeclared.
  NodeId ValueTimes(NodeId a, NodeId b);
  NodeId ValueOver(NodeId a, NodeId b);
  NodeId ValueNegated(NodeId a);
  NodeId WithoutDeclared(NodeId node) const;

  // A value as a choice: 0 where `is_zero` (kNoNode: nowhere), else `rest`.
  struct Choice {
    NodeId is_zero = kNoNode;
    NodeId rest = kNoNode;  // kNoNode: 0 everywhere
  };
  Choice Split(NodeId node);
  Choice SplitSelect(const Node& node, NodeId id);
  NodeId Or(NodeId a, NodeId b);
  NodeId Join(NodeId is_zero, NodeId rest);

  Graph& graph_;
  absl::flat_hash_map<NodeId, Choice> choices_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_EXACT_ZEROS_H_
