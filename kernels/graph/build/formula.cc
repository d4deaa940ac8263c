#include "kernels/graph/build/formula.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/graph/build/build.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/lang/parser.h"

namespace actserve {

Graph CompileFormula(std::string_view arguments, std::string_view formula) {
  std::string text = absl::StrCat("def formula(", std::string(arguments), "):");
  const std::vector<std::string> lines =
      absl::StrSplit(std::string(formula), '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool is_last = i + 1 == lines.size();
    absl::StrAppend(&text, "\n    ", is_last ? "return " : "", lines[i]);
  }
  text += '\n';
  Diagnostics diagnostics(text);
  const auto module = Parse(text, {}, LanguageLimits(), diagnostics);
  if (module) {
    const auto built = Build(*module, LanguageLimits(), diagnostics);
    if (built) return Simplify(built->forward);
  }
  std::fprintf(stderr, "a formula of the program is refused:\n%s%s\n",
               text.c_str(), diagnostics.Render().c_str());
  std::abort();
}

NodeId AddFormula(const Graph& formula, Graph& graph,
                  absl::FunctionRef<NodeId(const Node&)> leaf) {
  const auto add = [&graph](Op op, NodeId a, NodeId b, NodeId c) {
    return AddSimplified(graph, op, a, b, c);
  };
  const std::vector<NodeId> moved = CopyNodes(formula, graph, leaf, add);
  return moved[formula.outputs[0].node];
}

}  // namespace actserve
