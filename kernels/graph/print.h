#ifndef ACTSERVE_KERNELS_GRAPH_PRINT_H_
#define ACTSERVE_KERNELS_GRAPH_PRINT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "kernels/graph/graph.h"

namespace actserve {

// `graph` as a function of the language, one operation a line, that Parse()
// accepts and from which Build() makes the same graph. Precondition: no
// kDeclared (declared.h strips it), which no text can spell. Calls use the op
// table's names, so `name` gets an underscore if it is one of them.
//
// A text of more than `max_bytes` is cut at the end of a line. It then ends in
// a comment that says so, and Parse() refuses it: it returns nothing.
std::string PrintGraph(const Graph& graph, std::string_view name,
                       size_t max_bytes = std::string::npos);

// A line that stands for text that was left out: "# cut: " and `why`.
std::string CutLine(std::string_view why);

// The shortest decimal that reads back as `value`; never an integer.
std::string PrintNumber(double value);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PRINT_H_
