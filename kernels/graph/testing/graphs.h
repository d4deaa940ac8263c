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
// whether the input is negative. The operands of a draw are constants.
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

// Texts of f(x, a): one of single elements, the others of rows. At a row whose
// elements are different, and none of them 0 or the default of a, they are
// smooth.
inline constexpr std::string_view kRowTexts[] = {
    R"(def f(x, a=1.5):
    return sin(a * x) * x
)",
    // One level, two, three.
    R"(def f(x, a=1.5):
    return x * rowsum(a * x)
)",
    R"(def f(x, a=1.5):
    e = exp(a * (x - rowmax(x)))
    return e / rowsum(e)
)",
    R"(def f(x, a=0.3):
    m = rowmean(x)
    v = rowmean((x - m) * (x - m))
    return (x - m) / sqrt(v + a)
)",
    R"(def f(x, a=0.3):
    m = rowmean(x)
    z = (x - m) / sqrt(rowmean((x - m) ** 2) + a)
    e = exp(z - rowmax(z))
    return e / rowsum(e)
)",
    R"(def f(x, a=0.3):
    m = rowmean(x)
    z = (x - m) / sqrt(rowmean((x - m) ** 2) + a)
    return z * rowmin(z) + rowsize(x)
)",
    // A row result of a row result, and one that is used at two levels.
    R"(def f(x, a=2.0):
    s = rowsum(sin(x))
    return tanh(x * s) + rowmean(a * s * x) * s
)",
    R"(def f(x, a=0.5):
    return x * rowmin(x * x + a) + rowsize(x)
)",
    R"(def f(x, a=0.5):
    z = rowsort(x, x)
    return rowunsort(x * x, z * a) * x + rowscan(a * x, z + x)
)",
    R"(def f(x, a=0.5):
    e = rowscan(rowshift(a + x), 1.0 if rowindex(x) == 0 else 0.0)
    return e * rowscanback(x, sin(a * x)) - rowshiftback(x * e)
)",
    // Choices inside a level.
    R"(def f(x, a=0.5):
    return rowsum(sqrt(x) if x > 0 else a * x) * (x if x < a else x * x)
)",
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_GRAPH_TESTING_GRAPHS_H_
