// Builds a graph from a tree: names become nodes, helpers and built-ins are
// inlined, `for` is unrolled, and `if` becomes kSelect.
//
// Both branches of an `if` are built; the one not taken is connected to the
// result through kSelect alone. A branch on a constant is taken while building.
// Constant expressions are evaluated here, in float64, as Python does; nothing
// else is rewritten.

#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_BUILD_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_BUILD_H_

#include <optional>

#include "kernels/graph/graph.h"
#include "kernels/lang/ast.h"
#include "kernels/lang/diagnostic.h"
#include "kernels/lang/limits.h"

namespace actserve {

// The name of the upstream gradient, which is the last input of every gradient.
// No text can contain it.
inline constexpr char kUpstreamName[] = "dL/dy";

// The graphs of one text.
struct BuiltActivation {
  // One output, "y".
  Graph forward;
  // Present if the text declares a gradient: inputs are those of `forward`
  // and then kUpstreamName, outputs one per input of `forward`, so named, and
  // then one per parameter or none.
  std::optional<Graph> gradient;
};

// Builds the activation of `module`. Reports every error it can find, with
// its position; nullopt iff there is one. The time and memory that it takes
// are bounded by `limits`, whatever the text.
std::optional<BuiltActivation> Build(const Module& module,
                                     const LanguageLimits& limits,
                                     Diagnostics& diagnostics);

// Builds the gradient of `forward`, which has one input, from a text whose
// function is its derivative: upstream gradient times that. Arguments with a
// default must be parameters of `forward`.
std::optional<Graph> BuildDerivative(const Module& derivative,
                                     const Graph& forward,
                                     const LanguageLimits& limits,
                                     Diagnostics& diagnostics);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_BUILD_H_
