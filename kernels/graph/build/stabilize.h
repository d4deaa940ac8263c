// Defines the pass that replaces formulas by primitives which have the same
// value as real functions and, unlike the formula, keep it over the whole
// range in floating point: 1/(1+exp(-x)) overflows, sigmoid(x) does not.
//
// Each rule is an identity of real functions with its proof. Precondition: the
// graph is simplified, so that patterns have few spellings to know. It runs
// before differentiation, because the primitives' derivatives are stable too.

#ifndef ACTSERVE_KERNELS_GRAPH_BUILD_STABILIZE_H_
#define ACTSERVE_KERNELS_GRAPH_BUILD_STABILIZE_H_

#include <string>
#include <string_view>
#include <vector>

#include "kernels/graph/graph.h"

namespace actserve {

// One rule, in the language itself; x is any value.
struct StabilizeRule {
  std::string_view left;
  std::string_view right;
  std::string_view proof;
};

// All rules, in the order in which they are tried.
const std::vector<StabilizeRule>& StabilizeRules();

// `graph` with every rule applied, innermost formulas first. Adds to
// `rewrites` (may be null) a line "left -> right" for each rule used.
Graph Stabilize(const Graph& graph, std::vector<std::string>* rewrites);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_BUILD_STABILIZE_H_
