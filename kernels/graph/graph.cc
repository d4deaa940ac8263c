#include "kernels/graph/graph.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace actserve {
namespace {

// Equal bits whichever way round the operands are.
bool IsCommutative(Op op) {
  switch (op) {
    case Op::kAdd:
    case Op::kMul:
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kAnd:
    case Op::kOr:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool Graph::is_constant(NodeId id, double value) const {
  return is_constant(id) && std::bit_cast<uint64_t>(nodes_[id].constant) ==
                                std::bit_cast<uint64_t>(value);
}

NodeId Graph::Input(int32_t index) {
  assert(index >= 0 && index < static_cast<int32_t>(inputs.size()));
  Node node{.op = Op::kInput};
  node.index = index;
  return Intern(node);
}

NodeId Graph::ParameterNode(int32_t index) {
  assert(index >= 0 && index < static_cast<int32_t>(parameters.size()));
  Node node{.op = Op::kParameter};
  node.index = index;
  return Intern(node);
}

NodeId Graph::Constant(double value) {
  // One NaN only: all of them mean the same.
  if (value != value) value = std::bit_cast<double>(0x7ff8000000000000);
  Node node{.op = Op::kConstant};
  node.constant = value;
  return Intern(node);
}

NodeId Graph::Bool(bool value) {
  Node node{.op = Op::kBool};
  node.constant = value ? 1 : 0;
  return Intern(node);
}

NodeId Graph::Add(Op op, NodeId a, NodeId b, NodeId c) {
  Node node{.op = op};
  node.operands = {a, b, c};
  for (int i = 0; i < 3; ++i) {
    const bool wanted = i < Info(op).arity;
    assert(wanted == (node.operands[i] != kNoNode));
    assert(node.operands[i] < static_cast<NodeId>(nodes_.size()));
    if (wanted) {
      assert(is_bool(node.operands[i]) == TakesBool(op, i));
    }
  }
  return Intern(node);
}

int64_t Graph::Weight() const {
  const std::vector<bool> live = LiveNodes();
  int64_t weight = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (live[i]) weight += Info(nodes_[i].op).weight;
  }
  return weight;
}

bool Graph::HasRows() const {
  return HasLive([](Op op) { return Info(op).reads_row; });
}

bool Graph::HasDraws() const { return may_draw_ && HasLive(IsDraw); }

bool Graph::HasLive(absl::FunctionRef<bool(Op)> holds) const {
  const std::vector<bool> live = LiveNodes();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (live[i] && holds(nodes_[i].op)) return true;
  }
  return false;
}

std::vector<bool> Graph::NodesFor(
    absl::Span<const NodeId> roots,
    absl::FunctionRef<bool(NodeId)> is_leaf) const {
  std::vector<bool> needed(nodes_.size(), false);
  NodeId last = -1;
  for (const NodeId root : roots) {
    needed[root] = true;
    last = std::max(last, root);
  }
  for (NodeId i = last; i >= 0; --i) {
    if (!needed[i] || is_leaf(i)) continue;
    for (const NodeId operand : nodes_[i].operands) {
      if (operand != kNoNode) needed[operand] = true;
    }
  }
  return needed;
}

std::vector<bool> Graph::LiveNodes() const {
  std::vector<NodeId> roots;
  roots.reserve(outputs.size());
  for (const Output& output : outputs) roots.push_back(output.node);
  return NodesFor(roots, [](NodeId) { return false; });
}

int64_t Graph::size_bytes() const {
  // An element of the map is a block of its own, with a pointer, a hash and
  // what malloc adds.
  constexpr size_t kElement =
      sizeof(decltype(interned_)::value_type) + 2 * sizeof(void*) + 8;
  size_t bytes = nodes_.capacity() * sizeof(Node) +
                 interned_.size() * kElement +
                 interned_.bucket_count() * sizeof(void*);
  for (const std::string& input : inputs) {
    bytes += sizeof(std::string) + input.capacity();
  }
  for (const Parameter& parameter : parameters) {
    bytes += sizeof(parameter) + parameter.name.capacity();
  }
  for (const Output& output : outputs) {
    bytes += sizeof(output) + output.name.capacity();
  }
  return static_cast<int64_t>(bytes);
}

NodeId Graph::Intern(const Node& node) {
  Key key{node.op, node.operands, std::bit_cast<uint64_t>(node.constant),
          node.index};
  if (IsCommutative(node.op) && key.operands[0] > key.operands[1]) {
    std::swap(key.operands[0], key.operands[1]);
  }
  const NodeId id = static_cast<NodeId>(nodes_.size());
  auto [it, inserted] = interned_.try_emplace(key, id);
  if (inserted) nodes_.push_back(node);
  may_draw_ |= IsDraw(node.op);
  return it->second;
}

}  // namespace actserve
