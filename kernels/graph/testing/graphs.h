#ifndef ACTSERVE_KERNELS_GRAPH_TESTING_GRAPHS_H_
#define ACTSERVE_KERNELS_GRAPH_TESTING_GRAPHS_H_

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/graph/graph.h"
#include "kernels/graph/interpret.h"

namespace actserve::testing {

// The graph of `text`, as Build() makes it. Fails the test if there is none.
Graph GraphOf(std::string_view text);

// The graph of "def f(x): return <expression>".
Graph GraphOfExpression(std::string_view expression);

// The graph of one op on as many inputs; for an operand that is a boolean,
// whether the input is negative.
Graph GraphOfRow(const OpInfo& info);

// Inputs of GraphOfRow(info), on both sides of 0, where every function of the
// table is smooth if it is defined there.
std::vector<std::vector<double>> SmoothPoints(const OpInfo& info);

// Equal bits; any NaN equals any NaN.
template <typename T>
bool SameBits(T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return (a != a && b != b) || std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
}

// The first output at `inputs` and the default parameters.
template <typename T>
T ValueAt(const Graph& graph, const std::vector<T>& inputs) {
  std::vector<T> parameters;
  for (const Parameter& parameter : graph.parameters) {
    parameters.push_back(NumberOps<T>::FromDouble(parameter.default_value));
  }
  return Evaluate<T>(graph, inputs, parameters)[0];
}

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_GRAPH_TESTING_GRAPHS_H_
