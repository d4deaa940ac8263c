#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_ROW_FUNCTIONS_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_ROW_FUNCTIONS_H_

#include <string_view>

#include "kernels/graph/graph.h"

namespace actserve {

// The row function `name` of ast.h that is no op but a formula of row ops: its
// inputs are the arguments. nullptr if there is none.
const Graph* FindRowFunction(std::string_view name);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_ROW_FUNCTIONS_H_
