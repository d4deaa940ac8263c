#include "kernels/graph/passes/row_stages.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernels/graph/copy.h"

namespace actserve {
namespace {

// Operations that cost more than to store a number and load it again.
constexpr int64_t kWorthKeeping = 30;

// What a node is the same for.
enum class Scope { kAll, kRow, kElement };

class Cutter {
 public:
  explicit Cutter(const Graph& graph) : graph_(graph) {
    const size_t num_nodes = graph.nodes().size();
    live_ = graph.LiveNodes();
    scopes_.resize(num_nodes, Scope::kAll);
    levels_.resize(num_nodes, 0);
    for (size_t i = 0; i < num_nodes; ++i) Classify(static_cast<NodeId>(i));
  }

  RowStages Cut() {
    KeepDraws();
    FindRoots();
    for (size_t level = 0; level < roots_.size(); ++level) {
      RowStage& stage = result_.stages.emplace_back();
      AddRows(static_cast<int>(level), stage);
      AddElements(level, stage);
    }
    return std::move(result_);
  }

 private:
  // A node that a stage must compute for every element, and what for.
  struct Root {
    NodeId node;
    RowStage::Sink sink;
  };

  void Classify(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.op == Op::kInput || IsDraw(node.op)) {
      scopes_[id] = Scope::kElement;
    }
    for (const NodeId operand : node.operands) {
      if (operand == kNoNode) continue;
      scopes_[id] = std::max(scopes_[id], scopes_[operand]);
      levels_[id] = std::max(levels_[id], levels_[operand]);
    }
    if (!Info(node.op).reads_row) return;
    scopes_[id] = IsByElement(node.op) ? Scope::kElement : Scope::kRow;
    if (node.op != Op::kRowSize && node.op != Op::kRowIndex) ++levels_[id];
  }

  void KeepDraws() {
    std::vector<NodeId> draws;
    for (size_t i = 0; i < live_.size(); ++i) {
      if (!live_[i] || !IsDraw(graph_.nodes()[i].op)) continue;
      draws.push_back(static_cast<NodeId>(i));
      kept_[draws.back()] = result_.num_kept;
      result_.draw_arrays.push_back(result_.num_kept++);
    }
    Graph& to = result_.draws;
    to.parameters = graph_.parameters;
    const auto is_leaf = [](NodeId) { return false; };
    const auto leaf = [](NodeId) { return kNoNode; };
    const std::vector<NodeId> moved =
        CopyNeeded(graph_.NodesFor(draws, is_leaf), to, leaf);
    for (const NodeId id : draws) to.outputs.push_back({"", moved[id]});
  }

  void FindRoots() {
    roots_.resize(1);
    const auto add = [&](NodeId node, RowStage::Sink sink) {
      const size_t level = levels_[node];
      if (roots_.size() <= level) roots_.resize(level + 1);
      roots_[level].push_back({node, sink});
    };
    for (size_t i = 0; i < live_.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!live_[i] || !Info(node.op).reads_row) continue;
      if (node.op == Op::kRowSize) {
        numbers_[static_cast<NodeId>(i)] = 0;
        continue;
      }
      if (node.op == Op::kRowIndex) {
        result_.index_array = result_.num_kept++;
        kept_[static_cast<NodeId>(i)] = result_.index_array;
        continue;
      }
      if (IsByElement(node.op)) {
        moves_.push_back(static_cast<NodeId>(i));
        for (const NodeId operand : node.operands) {
          if (operand != kNoNode)
            add(operand, {RowStage::Sink::Kind::kKeep, -1, Op::kNumOps});
        }
        continue;
      }
      const int number = result_.num_row_numbers++;
      numbers_[static_cast<NodeId>(i)] = number;
      add(node.operands[0], {RowStage::Sink::Kind::kReduce, number, node.op});
    }
    for (size_t o = 0; o < graph_.outputs.size(); ++o) {
      add(graph_.outputs[o].node,
          {RowStage::Sink::Kind::kOutput, static_cast<int>(o), Op::kNumOps});
    }
  }

  // The nodes of one level that are the same for a row, take work, and are
  // needed by elements.
  std::vector<NodeId> RowResults(int level) const {
    std::set<NodeId> results;
    const auto consider = [&](NodeId id) {
      if (scopes_[id] == Scope::kRow && levels_[id] == level &&
          !Info(graph_.node(id).op).reads_row && !graph_.is_bool(id)) {
        results.insert(id);
      }
    };
    for (size_t i = 0; i < live_.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      // A truth value of the row is computed again for each element.
      const bool for_elements = scopes_[i] == Scope::kElement ||
                                Info(node.op).reads_row ||
                                graph_.is_bool(static_cast<NodeId>(i));
      if (!live_[i] || !for_elements) continue;
      for (const NodeId operand : node.operands) {
        if (operand != kNoNode) consider(operand);
      }
    }
    for (const Output& output : graph_.outputs) consider(output.node);
    return {results.begin(), results.end()};
  }

  void AddRows(int level, RowStage& stage) {
    stage.rows.parameters = graph_.parameters;
    const std::vector<NodeId> results = RowResults(level);
    const auto is_known = [&](NodeId id) { return numbers_.contains(id); };
    const auto leaf = [&](NodeId id) {
      return is_known(id)
                 ? InputFor(numbers_.at(id), stage.rows, stage.rows_inputs, 0)
                 : kNoNode;
    };
    const std::vector<NodeId> moved =
        CopyNeeded(graph_.NodesFor(results, is_known), stage.rows, leaf);
    for (const NodeId id : results) {
      stage.rows.outputs.push_back({"", moved[id]});
    }
    for (const NodeId id : results) {
      numbers_[id] = result_.num_row_numbers++;
      stage.rows_outputs.push_back(numbers_[id]);
    }
  }

  std::vector<NodeId> CopyNeeded(const std::vector<bool>& needed, Graph& to,
                                 absl::FunctionRef<NodeId(NodeId)> leaf) const {
    const auto add = [&to](Op op, NodeId a, NodeId b, NodeId c) {
      return to.Add(op, a, b, c);
    };
    return CopyNodes(graph_, needed, to, leaf, add);
  }

  // The input of `graph` that stands for `wanted`: the inputs from `first` on
  // are those of `all`.
  static NodeId InputFor(int wanted, Graph& graph, std::vector<int>& all,
                         size_t first) {
    const auto found = std::find(all.begin(), all.end(), wanted);
    const size_t index = first + (found - all.begin());
    if (found == all.end()) {
      all.push_back(wanted);
      graph.inputs.push_back("");
    }
    return graph.Input(static_cast<int32_t>(index));
  }

  // What stands for `id` in the elements of a stage: a tensor, a kept array, a
  // number of the row.
  bool IsLeaf(NodeId id) const {
    const Op op = graph_.node(id).op;
    return op == Op::kInput || IsByElement(op) || kept_.contains(id) ||
           IsNumber(id);
  }
  // True also for the numbers of later stages, which are found at their level.
  bool IsNumber(NodeId id) const {
    return scopes_[id] == Scope::kRow && !graph_.is_bool(id);
  }

  std::vector<bool> NeededBy(const std::vector<NodeId>& roots) const {
    return graph_.NodesFor(roots, [&](NodeId id) { return IsLeaf(id); });
  }
  static std::vector<NodeId> NodesOf(const std::vector<Root>& roots) {
    std::vector<NodeId> nodes;
    for (const Root& root : roots) nodes.push_back(root.node);
    return nodes;
  }

  int64_t WeightOf(NodeId id) const {
    const std::vector<bool> needed = NeededBy({id});
    int64_t weight = 0;
    for (NodeId i = 0; i <= id; ++i) {
      if (needed[i] && !IsLeaf(i)) weight += Info(graph_.node(i).op).weight;
    }
    return weight;
  }

  // The nodes of stage `level` that are worth keeping for later ones.
  std::set<NodeId> ToKeep(size_t level) const {
    const std::vector<bool> here = NeededBy(NodesOf(roots_[level]));
    std::set<NodeId> keep;
    // Of what both need, that which the later one reads itself.
    const auto consider = [&](NodeId id) {
      if (id != kNoNode && here[id] && scopes_[id] == Scope::kElement &&
          !graph_.is_bool(id) && !IsLeaf(id)) {
        keep.insert(id);
      }
    };
    for (size_t later = level + 1; later < roots_.size(); ++later) {
      const std::vector<NodeId> roots = NodesOf(roots_[later]);
      std::ranges::for_each(roots, consider);
      const std::vector<bool> needed = NeededBy(roots);
      for (NodeId i = 0; i < static_cast<NodeId>(needed.size()); ++i) {
        if (!needed[i] || here[i] || IsLeaf(i)) continue;
        std::ranges::for_each(graph_.node(i).operands, consider);
      }
    }
    std::erase_if(keep,
                  [&](NodeId id) { return WeightOf(id) < kWorthKeeping; });
    return keep;
  }

  void AddElements(size_t level, RowStage& stage) {
    std::vector<Root> roots = roots_[level];
    // What is to be kept has no array yet; some for two reasons.
    std::map<NodeId, int> keep;
    std::erase_if(roots, [&](const Root& root) {
      if (root.sink.kind != RowStage::Sink::Kind::kKeep) return false;
      if (!kept_.contains(root.node)) keep[root.node] = -1;
      return true;
    });
    for (const NodeId id : ToKeep(level)) keep[id] = -1;
    for (auto& [id, array] : keep) {
      array = result_.num_kept++;
      roots.push_back({id, {RowStage::Sink::Kind::kKeep, array, Op::kNumOps}});
    }
    Graph& to = stage.elements;
    to.parameters = graph_.parameters;
    // Inputs have their order, so the leaves are counted first.
    const std::vector<bool> needed = NeededBy(NodesOf(roots));
    for (NodeId id = 0; id < static_cast<NodeId>(needed.size()); ++id) {
      if (!needed[id]) continue;
      const Node& node = graph_.node(id);
      if (node.op == Op::kInput) {
        stage.tensors.push_back(node.index);
      } else if (kept_.contains(id)) {
        stage.kept.push_back(kept_.at(id));
      } else if (IsNumber(id)) {
        stage.row_inputs.push_back(numbers_.at(id));
      }
    }
    to.inputs.resize(stage.tensors.size() + stage.kept.size() +
                     stage.row_inputs.size());
    const auto leaf = [&](NodeId id) {
      const Node& node = graph_.node(id);
      size_t first = 0;
      if (node.op == Op::kInput) {
        return InputFor(node.index, to, stage.tensors, first);
      }
      first += stage.tensors.size();
      if (kept_.contains(id)) {
        return InputFor(kept_.at(id), to, stage.kept, first);
      }
      first += stage.kept.size();
      if (!IsNumber(id)) return kNoNode;
      return InputFor(numbers_.at(id), to, stage.row_inputs, first);
    };
    const std::vector<NodeId> moved = CopyNeeded(needed, to, leaf);
    for (const Root& root : roots) {
      to.outputs.push_back({"", moved[root.node]});
      stage.sinks.push_back(root.sink);
    }
    kept_.insert(keep.begin(), keep.end());
    for (const NodeId id : moves_) {
      if (levels_[id] != static_cast<int>(level) + 1) continue;
      const Node& node = graph_.node(id);
      const NodeId b = node.operands[1];
      kept_[id] = result_.num_kept++;
      stage.moves.push_back({node.op, kept_.at(node.operands[0]),
                             b == kNoNode ? -1 : kept_.at(b), kept_[id]});
    }
  }

  const Graph& graph_;
  std::vector<bool> live_;
  std::vector<Scope> scopes_;
  std::vector<int> levels_;
  std::vector<std::vector<Root>> roots_;  // by level
  std::vector<NodeId> moves_;
  // Nodes that are numbers of the row, and nodes that were kept.
  std::map<NodeId, int> numbers_;
  std::map<NodeId, int> kept_;
  RowStages result_;
};

}  // namespace

RowStages CutIntoStages(const Graph& graph) { return Cutter(graph).Cut(); }

}  // namespace actserve
