#include "kernels/graph/derive/partials.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "kernels/graph/build/formula.h"

namespace actserve {
namespace {

using Row = std::array<std::optional<Graph>, 2>;

// One for each op, in the order of the enum.
std::vector<Row> CompilePartials() {
  std::vector<Row> rows;
  rows.reserve(AllOps().size());
  for (const OpInfo& info : AllOps()) {
    Row& row = rows.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      if (info.partials[i].empty()) continue;
      row[i] = CompileFormula(info.arity == 1 ? "x, y" : "a, b, y",
                              info.partials[i]);
    }
  }
  return rows;
}

}  // namespace

const Graph& Partial(Op op, int index) {
  static const auto* const rows = new std::vector<Row>(CompilePartials());
  const std::optional<Graph>& partial = (*rows)[static_cast<size_t>(op)][index];
  if (!partial) {
    std::fprintf(stderr, "op %s: its row has no derivative in operand %d\n",
                 std::string(Info(op).name).c_str(), index);
    std::abort();
  }
  return *partial;
}

}  // namespace actserve
