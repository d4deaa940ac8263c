// Passes for tensors that broadcast (kernels/graph/broadcast.h): some of a
// program's inputs have fewer elements than the others.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_BROADCASTS_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_BROADCASTS_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "kernels/graph/graph.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// `graph` with some of its parameters as inputs of the same names, in this
// order, after its first `num_before` inputs. The parameters stay in its
// signature, where nothing reads them. Do this before differentiation: a
// parameter is one number for all elements, an input is not.
Graph WithParametersAsInputs(const Graph& graph,
                             absl::Span<const int> parameters, int num_before);

// Makes the inputs of `program` for which `broadcasts` holds its last, in their
// order. Where `are_gradients` holds for the outputs, sums each that is called
// like one of them.
void PutBroadcastsLast(
    absl::FunctionRef<bool(const std::string& input)> broadcasts,
    bool are_gradients, LoweredProgram& program);

// `program` with its inputs that broadcast as further parameters, the last: for
// elements that all read the same of them.
LoweredProgram WithBroadcastsAsParameters(const LoweredProgram& program);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_BROADCASTS_H_
