// Formulas that stand in this program's own tables, as texts of the language:
// the sides of stabilize's rules and the derivatives of the op table.

#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_FORMULA_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_FORMULA_H_

#include <string_view>

#include "absl/functional/function_ref.h"
#include "kernels/graph/graph.h"

namespace actserve {

// The simplified graph of `formula`, of one output. Its last line is the
// value, lines before it assign names. `arguments` are those of a `def`: an
// input each ("x"), or a parameter ("b=1"). Ends the process, with the text
// and what is wrong with it, if the language refuses it.
Graph CompileFormula(std::string_view arguments, std::string_view formula);

// Adds the value of `formula` to `graph`; `leaf` gives the node of `graph` for
// an input or a parameter of the formula.
NodeId AddFormula(const Graph& formula, Graph& graph,
                  absl::FunctionRef<NodeId(const Node&)> leaf);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_FORMULA_H_
