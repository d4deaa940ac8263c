// Defines the pass that turns the graph of an activation into the program that
// devices compile.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_LOWER_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_LOWER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/base/dtype.h"
#include "kernels/graph/graph.h"
#include "kernels/graph/lowered_program.h"
#include "kernels/lang/limits.h"

namespace actserve {

// Lowers `graph`: strips what only differentiation needs, simplifies, and
// chooses the compute type. `rule_16_bit` is the rule if `storage` has 16 bits
// (kDirect where its precondition does not hold). `identity` names the
// activation, the direction and the outputs, for the program id.
//   InvalidArgument  the program's weight is over limits.weight
absl::StatusOr<LoweredProgram> Lower(const Graph& graph, DType storage,
                                     LoweredProgram::Rule rule_16_bit,
                                     std::string_view identity,
                                     const LanguageLimits& limits);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_LOWER_H_
