#include "kernels/graph/build/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/graph/testing/graphs.h"
#include "kernels/lang/parser.h"

namespace actserve {
namespace {

using testing::GraphOf;
using ::testing::HasSubstr;
using testing::SameBits;
using testing::ValueAt;

struct Case {
  const char* name;
  const char* body;  // of def f(x, a=0.25)
  double at;
  double want;
};

const Case kCases[] = {
    {"early return", "    if x > 0:\n        return 1\n    return 2\n", 1, 1},
    {"fall through", "    if x > 0:\n        return 1\n    return 2\n", -1, 2},
    {"return in else",
     "    if x > 0:\n        y = x\n    else:\n        return -7\n    return y "
     "* 2\n",
     3, 6},
    {"return from the second of two branches",
     "    if x > 0:\n        y = x\n    else:\n        return -7\n    return y "
     "* 2\n",
     -3, -7},
    {"nested returns, first guard wins",
     "    if x > 0:\n        if x > 10:\n            return 10\n    if x > 5:\n"
     "        return 5\n    return x\n",
     11, 10},
    {"nested returns, second guard",
     "    if x > 0:\n        if x > 10:\n            return 10\n    if x > 5:\n"
     "        return 5\n    return x\n",
     7, 5},
    {"nested returns, none",
     "    if x > 0:\n        if x > 10:\n            return 10\n    if x > 5:\n"
     "        return 5\n    return x\n",
     -1, -1},
    {"elif",
     "    if x < 0:\n        y = 1\n    elif x < 1:\n        y = 2\n"
     "    else:\n        y = 3\n    return y\n",
     0.5, 2},
    {"assignment in one branch",
     "    y = x\n    if x > 0:\n        y = 2 * x\n    return y\n", 3, 6},
    {"assignment in one branch, other taken",
     "    y = x\n    if x > 0:\n        y = 2 * x\n    return y\n", -3, -3},
    {"swap", "    y = 1\n    x, y = y, x\n    return x - y\n", 5, -4},
    {"augmented", "    x += 1\n    x *= 2\n    return x\n", 3, 8},
    {"loop",
     "    s = 0\n    for i in range(4):\n        s = s * x + i\n"
     "    return s\n",
     2, 11},
    {"loop down",
     "    s = 0\n    for i in range(5, 0, -2):\n        s += i\n"
     "    return s + x\n",
     0, 9},
    {"loop with a constant condition",
     "    s = 0\n    for i in range(3):\n        if i == 1:\n            s += "
     "x\n"
     "    return s\n",
     4, 4},
    {"return inside a loop",
     "    for i in range(3):\n        if x < i:\n            return i\n"
     "    return -1\n",
     0.5, 1},
    {"chain", "    return 1 if 0 < x <= 2 else 0\n", 2, 1},
    {"chain, second fails", "    return 1 if 0 < x <= 2 else 0\n", 3, 0},
    {"and or not", "    return 1 if not x > 1 and (x > 0 or x < -1) else 0\n",
     0.5, 1},
    {"truth in a name", "    big = x > 1\n    return 1 if big else 0\n", 2, 1},
    {"truth chosen by if",
     "    if x > 0:\n        c = x > 2\n    else:\n        c = x > -2\n"
     "    return 1 if c else 0\n",
     -1, 1},
    {"cast of truth", "    return (x > 1).float() * x\n", 3, 3},
    {"floor modulo", "    return x % 3\n", -1, 2},
    {"floor division", "    return x // 2\n", -3, -2},
    {"constant expression", "    return x * (2 ** 10 // 3 % 7)\n", 1, 5},
    {"power of three", "    return x ** 3\n", -2, -8},
    {"negative power", "    return x ** -2\n", 2, 0.25},
    {"half power", "    return x ** 0.5\n", 9, 3},
    {"parameter", "    return a * x\n", 8, 2},
    {"built-in", "    return leaky_relu(x, 0.5)\n", -2, -1},
    {"built-in by keyword", "    return leaky_relu(x, negative_slope=a)\n", -2,
     -0.5},
    {"round half to even", "    return round(x)\n", 2.5, 2},
    {"clamp", "    return clamp(x, -1, 1)\n", 7, 1},
};

TEST(Build, ComputesWhatPythonWould) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Graph graph = GraphOf(std::string("def f(x, a=0.25):\n") + c.body);
    EXPECT_EQ(ValueAt<double>(graph, {c.at}), c.want);
    EXPECT_EQ(ValueAt<float>(graph, {static_cast<float>(c.at)}), c.want);
  }
}

TEST(Build, InlinesHelpers) {
  const Graph graph = GraphOf(
      "def square(v): return v * v\n"
      "def shifted(v, by=2.0): return square(v - by)\n"
      "def f(x): return shifted(x) + shifted(x, by=3)\n");

  EXPECT_EQ(ValueAt<double>(graph, {5.0}), 13);
}

// What a text computes is rounded once from its value in float64.
TEST(Build, EvaluatesConstantsInFloat64) {
  const Graph graph = GraphOf("def f(x):\n    return x * (0.1 + 0.2 - 0.3)\n");

  EXPECT_EQ(ValueAt<float>(graph, {1.0f}), static_cast<float>(0.1 + 0.2 - 0.3));
}

struct ErrorCase {
  const char* text;
  const char* position;  // "line:column"
  const char* message;
};

std::string ErrorsOf(std::string_view text, const LanguageLimits& limits = {}) {
  Diagnostics diagnostics(text);
  const auto module = Parse(text, {}, limits, diagnostics);
  if (module) Build(*module, limits, diagnostics);
  return diagnostics.has_errors() ? diagnostics.Render() : "no error";
}

TEST(Build, RefusesWithPosition) {
  const ErrorCase cases[] = {
      {"def f(x):\n    return x if x else 0\n", "2:17",
       "a number where a truth value is needed"},
      {"def f(x):\n    if x:\n        return 1\n    return 0\n", "2:8",
       "a number where a truth value is needed"},
      {"def f(x):\n    return 1 if x > 0 and x else 0\n", "2:27",
       "a number where a truth value is needed"},
      {"def f(x):\n    return x * (x > 0)\n", "2:17",
       "a truth value where a number is needed"},
      {"def f(x):\n    return exp(x > 0)\n", "2:16",
       "a truth value where a number is needed"},
      {"def f(x):\n    return (x > 0) < 1\n", "2:13",
       "a truth value where a number is needed"},
      {"def f(x):\n    return x > 0\n", "1:5", "returns a truth value"},
      {"def f(x):\n    c = x > 0 if x > 1 else 0\n    return x if c else 0\n",
       "2:9", "one side of 'else' is a number"},
      {"def f(x):\n    c = x\n    if x > 0:\n        c = x > 1\n    return c\n",
       "5:12", "'c' is a number on one path and a truth value on another"},
      {"def f(x):\n    for i in range(x):\n        x += 1\n    return x\n",
       "2:20", "the loop bound depends on the input"},
      {"def f(x):\n    for i in range(1.5):\n        x += 1\n    return x\n",
       "2:20", "whole number"},
      {"def f(x):\n    for i in range(0, 9, 0):\n        x += 1\n"
       "    return x\n",
       "2:", "the step of a range cannot be 0"},
      {"def f(x):\n    return uniform(x)\n", "2:12",
       "the seed of uniform() must be a parameter, unchanged, or an integer "
       "constant from 0 to 2^53"},
      {"def f(x, seed=1):\n    return x + normal(seed + 1)\n", "2:16",
       "the seed of normal() must be a parameter, unchanged"},
      {"def f(x):\n    return uniform(-1)\n", "2:12",
       "constant from 0 to 2^53"},
      {"def f(x):\n    return uniform(2 ** 53 + 2)\n", "2:12",
       "constant from 0 to 2^53"},
      {"def f(x, seed=0.5):\n    return uniform(seed)\n", "2:12",
       "the default of 'seed' is 0.5, but a seed is an integer from 0 to 2^53"},
      {"def f(x, k=1):\n    return uniform(0, k)\n", "2:12",
       "the stream of uniform() must be an integer constant from 0 to 2^32 - "
       "1"},
      {"def f(x):\n    return uniform(0, 2 ** 32)\n", "2:12",
       "the stream of uniform() must be"},
  };
  for (const ErrorCase& c : cases) {
    const std::string errors = ErrorsOf(c.text);
    EXPECT_THAT(errors, HasSubstr(c.message)) << c.text;
    EXPECT_THAT(errors, HasSubstr(std::string(c.position))) << c.text;
  }
}

TEST(Build, ReportsAllErrors) {
  const std::string errors = ErrorsOf(
      "def f(x):\n    y = x * (x > 0)\n    z = 1 if x else 2\n"
      "    return y + z\n");

  EXPECT_THAT(errors, HasSubstr("2:"));
  EXPECT_THAT(errors, HasSubstr("3:"));
}

TEST(Build, NamesWeightAndLimit) {
  EXPECT_THAT(
      ErrorsOf("def f(x):\n    for i in range(2000):\n        x = exp(x) + i\n"
               "    return x\n"),
      HasSubstr("limit 10000"));
}

// Two calls at each of thirty levels: 2^30 calls if they were walked.
TEST(Build, BoundsTheWorkOfHelpersThatDouble) {
  std::string text = "def h0(v): return v + 1\n";
  for (int i = 1; i < 30; ++i) {
    absl::StrAppend(&text, "def h", i, "(v): return h", i - 1, "(v) * h", i - 1,
                    "(v)\n");
  }
  text += "def f(x): return h29(x)\n";

  EXPECT_NE(ErrorsOf(text), "no error");
}

TEST(Build, BoundsLoopsThatComputeNothing) {
  EXPECT_NE(ErrorsOf("def f(x):\n    for i in range(1000000000):\n"
                     "        pass\n    return x\n"),
            "no error");
}

TEST(Build, SharesWhatIsEqual) {
  const Graph graph =
      GraphOf("def f(x):\n    return exp(x) * 2 + 2 * exp(x)\n");

  // x, exp, 2, the product, the sum.
  EXPECT_EQ(graph.nodes().size(), 5u);
}

// A default was once evaluated by libm and an expression by kernels/math.
TEST(Build, DefaultHasTheBitsOfTheSameExpression) {
  for (const char* expression :
       {"exp(1)", "exp(-0.3)", "log(3)", "sqrt(2)", "0.3 ** 0.7", "7.3 % -2.1",
        "-7.3 // 2.1", "max(-0.0, 0.0)", "min(0.0, -0.0)", "floor(-0.5)"}) {
    SCOPED_TRACE(expression);
    const Graph graph = GraphOf(absl::StrCat(
        "def f(x, a=", expression, "):\n    return ", expression, "\n"));
    const NodeId result = graph.outputs[0].node;
    ASSERT_TRUE(graph.is_constant(result));
    EXPECT_TRUE(SameBits(graph.parameters[0].default_value,
                         graph.node(result).constant));
  }
}

}  // namespace
}  // namespace actserve
