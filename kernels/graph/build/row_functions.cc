#include "kernels/graph/build/row_functions.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/str_join.h"
#include "kernels/graph/build/formula.h"
#include "kernels/lang/vocabulary.h"

namespace actserve {
namespace {

struct Formula {
  std::string_view name;
  std::string_view text;
};
constexpr Formula kFormulas[] = {
    {"rowmean", "rowsum(x) / rowsize(x)"},
    {"rowmin", "-rowmax(-x)"},
    // exclusive products; the last one times the last element
    {"rowprod",
     "before = rowscan(rowshift(x), 1.0 if rowindex(x) == 0 else 0.0)\n"
     "rowsum(before * x if rowindex(x) == rowsize(x) - 1 else 0.0)"},
    {"rowsorted", "rowsort(x, x)"},
    {"rowcumsum", "rowscan(1.0, x)"},
    {"rowkth", "rowsum(rowsort(x, x) if rowindex(x) == k - 1 else 0.0)"},
    // NaN is the maximum, as for NumPy.
    {"rowargmax",
     "where = rowindex(x) if x == rowmax(x) or x != x else inf\n"
     "1.0 if rowindex(x) == -rowmax(-where) else 0.0"},
};

}  // namespace

const Graph* FindRowFunction(std::string_view name) {
  static const auto* const graphs = [] {
    auto* made = new std::map<std::string_view, Graph, std::less<>>;
    for (const Formula& formula : kFormulas) {
      const FunctionSignature* signature =
          FindPrimitive(std::string(formula.name));
      made->emplace(formula.name,
                    CompileFormula(absl::StrJoin(signature->arguments, ", "),
                                   formula.text));
    }
    return made;
  }();
  const auto found = graphs->find(name);
  return found == graphs->end() ? nullptr : &found->second;
}

}  // namespace actserve
