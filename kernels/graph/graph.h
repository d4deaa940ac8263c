// A program as a typed SSA graph: a DAG in topological order, never a tree.
//
// Nodes are numbered in the order they were added, operands come before their
// users, and equal nodes are one node (Add() shares). Control flow is gone:
// `if` has become kSelect.

#ifndef ACTSERVE_KERNELS_GRAPH_GRAPH_H_
#define ACTSERVE_KERNELS_GRAPH_GRAPH_H_

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"
#include "kernels/graph/op.h"

namespace actserve {

using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;

// One operation on earlier nodes, or a leaf.
struct Node {
  Op op;
  std::array<NodeId, 3> operands = {kNoNode, kNoNode, kNoNode};
  double constant = 0;  // kConstant, kBool
  int32_t index = 0;    // kInput, kParameter
};

// A number that a request may change.
struct Parameter {
  std::string name;
  double default_value = 0;
};

// One result of a program: a tensor of the inputs' shape or, if `summed`, one
// number: the sum of `node` over all elements (the gradient of a parameter).
struct Output {
  std::string name;
  NodeId node = kNoNode;
  bool summed = false;
  // If not -1: the sums are those of broadcast input `like` of the program, one
  // for each of its elements (kernels/graph/broadcast.h). `summed` holds.
  int32_t like = -1;
};

// Value type; not thread-safe while it is built, safe to share once const.
class Graph {
 public:
  std::vector<std::string> inputs;
  std::vector<Parameter> parameters;
  std::vector<Output> outputs;

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  bool is_bool(NodeId id) const { return Info(nodes_[id].op).returns_bool; }
  // True if the node is kConstant.
  bool is_constant(NodeId id) const { return nodes_[id].op == Op::kConstant; }
  // True if the node is kConstant with exactly these bits (so 0.0 is not -0.0).
  bool is_constant(NodeId id, double value) const;

  NodeId Input(int32_t index);
  NodeId ParameterNode(int32_t index);
  NodeId Constant(double value);
  NodeId Bool(bool value);
  // The operands must exist, match the op's arity and be of its operand types
  // (a kSelect of booleans is expressed with kAnd, kOr, kNot).
  NodeId Add(Op op, NodeId a, NodeId b = kNoNode, NodeId c = kNoNode);

  // Returns the sum of the weights of the nodes that the outputs need.
  int64_t Weight() const;
  // True if an output needs more than its own element: its row.
  bool HasRows() const;
  // True if an output needs a random number. Costs nothing where no node is
  // one: devices ask for each item.
  bool HasDraws() const;
  // Entry i is true if node i is one of `roots` or one of them depends on it.
  // What a node depends on of which `is_leaf` holds does not count.
  std::vector<bool> NodesFor(absl::Span<const NodeId> roots,
                             absl::FunctionRef<bool(NodeId)> is_leaf) const;
  // Entry i is true if an output depends on node i.
  std::vector<bool> LiveNodes() const;
  // About the memory that the graph keeps.
  int64_t size_bytes() const;

 private:
  NodeId Intern(const Node& node);
  bool HasLive(absl::FunctionRef<bool(Op)> holds) const;

  struct Key {
    Op op;
    std::array<NodeId, 3> operands;
    uint64_t constant_bits;
    int32_t index;
    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.op, k.operands, k.constant_bits,
                        k.index);
    }
  };
  std::vector<Node> nodes_;
  bool may_draw_ = false;
  std::unordered_map<Key, NodeId, absl::Hash<Key>> interned_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_GRAPH_H_
