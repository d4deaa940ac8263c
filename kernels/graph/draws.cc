#include "kernels/graph/draws.h"

#include <cmath>
#include <set>

namespace actserve {

bool IsDrawOperand(double value, double max) {
  return value >= 0 && value <= max && value == std::floor(value);
}

std::vector<int32_t> SeedParameters(const Graph& graph) {
  if (!graph.HasDraws()) return {};
  const std::vector<bool> live = graph.LiveNodes();
  std::set<int32_t> seeds;
  for (size_t i = 0; i < live.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!live[i] || !IsDraw(node.op)) continue;
    const Node& seed = graph.node(node.operands[0]);
    if (seed.op == Op::kParameter) seeds.insert(seed.index);
  }
  return {seeds.begin(), seeds.end()};
}

std::vector<uint64_t> DrawWords(const Graph& graph,
                                absl::Span<const double> parameters,
                                uint64_t first_element) {
  if (!graph.HasDraws()) return {};
  std::vector<uint64_t> words = {first_element};
  for (const int32_t index : SeedParameters(graph)) {
    words.push_back(static_cast<uint64_t>(parameters[index]));
  }
  return words;
}

}  // namespace actserve
