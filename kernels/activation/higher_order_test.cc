// The derivatives of gradients, and tangents, of whole activations.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/reference/real_ops.h"

namespace actserve {
namespace {

using testing::Make;
using testing::Real;

constexpr double kInf = std::numeric_limits<double>::infinity();

Graph SecondOrder(const Activation& activation,
                  const std::vector<std::string>& of,
                  const std::vector<std::string>& wrt) {
  const auto lowered =
      activation.LowerSecondOrder(DType::kFloat64, of, wrt, true);
  EXPECT_TRUE(lowered.ok()) << lowered.status();
  return lowered->graph;
}

std::vector<std::string> VariablesOf(const Activation& activation) {
  std::vector<std::string> names = activation.inputs();
  for (const Parameter& parameter : activation.parameters()) {
    names.push_back(parameter.name);
  }
  return names;
}

const std::vector<std::string_view> kTexts = {
    "def f(x, g, a=0.5):\n    return x * sigmoid(a * g) + sin(x * g)\n",
    "def f(x, a=1.5):\n"
    "    e = exp(a * (x - rowmax(x)))\n"
    "    return e / rowsum(e)\n",
    "def f(x, g, a=0.3):\n"
    "    m = rowmean(x * g)\n"
    "    return (x - m) / sqrt(rowmean((x - m) ** 2) + a)\n",
    // Declared, and so not the derivative of f.
    "def f(x, a=2.0):\n    return x\n\n"
    "def f_grad(x, dy, a):\n    return dy * exp(-a * x * x), dy * x * a * a\n",
    "def f(x, a=2.0):\n    return x\n\n"
    "def f_grad(x, dy, a):\n"
    "    return dy * x / (1 + rowsum(dy * dy)), dy * dy * a\n",
};

// Rows of element-wise functions are as good as single elements.
struct Row {
  std::vector<std::vector<Real>> inputs;
  std::vector<Real> parameters;
};

// Of any parameter that is the seed of random numbers.
const std::vector<double>& Seeds() {
  static const auto* const seeds = new std::vector<double>(64, 7.0);
  return *seeds;
}

// What `graph` gives for `row`, as one number: output i of element e times
// weights[i][e], parameters' terms times weights[i][0].
Real Weighed(const Graph& graph, const Row& row,
             const std::vector<std::vector<Real>>& weights) {
  const auto values =
      EvaluateRow<Real>(graph, row.inputs, row.parameters, {Seeds()});
  Real sum = 0;
  for (size_t o = 0; o < values.size(); ++o) {
    for (size_t e = 0; e < values[o].size(); ++e) {
      sum = sum + values[o][e] * weights[o][graph.outputs[o].summed ? 0 : e];
    }
  }
  return sum;
}

// Holds LowerSecondOrder() to differences, with 320 bits, of LowerBackward().
void ExpectSecondOrder(const Activation& activation) {
  constexpr size_t kSize = 4;
  const std::vector<std::string> names = VariablesOf(activation);
  const size_t num_inputs = activation.inputs().size();
  const auto first = activation.LowerBackward(DType::kFloat64, names);
  ASSERT_TRUE(first.ok()) << first.status();
  const Graph second = SecondOrder(activation, names, names);

  Row row;
  for (size_t e = 0; e < kSize; ++e) {
    auto& element = row.inputs.emplace_back();
    for (size_t i = 0; i <= num_inputs; ++i) {
      element.push_back(Real(0.37 + 0.61 * e - 1.13 * i + 0.29 * e * i));
    }
  }
  for (const Parameter& parameter : activation.parameters()) {
    row.parameters.push_back(parameter.default_value);
  }
  std::vector<std::vector<Real>> cotangents(names.size());
  for (size_t v = 0; v < names.size(); ++v) {
    for (size_t e = 0; e < kSize; ++e) {
      cotangents[v].push_back(Real(0.8 - 0.5 * v + 0.33 * e));
    }
  }
  Row with_cotangents = row;
  for (size_t v = 0; v < names.size(); ++v) {
    if (v >= num_inputs) {
      with_cotangents.parameters.push_back(cotangents[v][0]);
      continue;
    }
    for (size_t e = 0; e < kSize; ++e) {
      with_cotangents.inputs[e].push_back(cotangents[v][e]);
    }
  }

  const auto got = EvaluateRow<Real>(second, with_cotangents.inputs,
                                     with_cotangents.parameters, {Seeds()});

  const Real h("1e-40");
  const auto slope = [&](auto&& at) {
    Row up = row, down = row;
    at(up) = at(up) + h;
    at(down) = at(down) - h;
    return ((Weighed(first->graph, up, cotangents) -
             Weighed(first->graph, down, cotangents)) /
            (Real(2) * h))
        .ToDouble();
  };
  const auto expect = [](double found, double want, const std::string& by) {
    EXPECT_NEAR(found, want, 1e-13 * std::max(1.0, std::fabs(want))) << by;
  };
  // Inputs, then parameters, then dy.
  for (size_t v = 0; v <= names.size(); ++v) {
    const bool is_upstream = v == names.size();
    if (!is_upstream && v >= num_inputs) {
      Real sum = 0;
      for (const Real& term : got[v]) sum = sum + term;
      expect(sum.ToDouble(), slope([&](Row& r) -> Real& {
               return r.parameters[v - num_inputs];
             }),
             names[v]);
      continue;
    }
    const size_t input = is_upstream ? num_inputs : v;
    for (size_t e = 0; e < kSize; ++e) {
      expect(got[v][e].ToDouble(),
             slope([&](Row& r) -> Real& { return r.inputs[e][input]; }),
             is_upstream ? "dy" : names[v]);
    }
  }
}

TEST(SecondOrder, AgreesWithDifferences) {
  for (const std::string_view text : kTexts) {
    SCOPED_TRACE(text);
    ExpectSecondOrder(*Make(text));
  }
}

TEST(SecondOrder, OfEveryBuiltInAgreesWithDifferences) {
  for (const CatalogEntry& entry : Catalog()) {
    SCOPED_TRACE(entry.name);
    ExpectSecondOrder(*Make(entry.text));
  }
}

// Differentiated as it is written, whatever the function is.
TEST(SecondOrder, OfADeclaredGradientIsThatOfItsText) {
  struct Case {
    const char* function;
    const char* gradient;
    // At x, with the upstream gradient dy and the cotangent 1.
    double x, dy, by_x, by_dy;
  };
  const Case cases[] = {
      {"round(x)", "dy if abs(x) <= 1 else 0", 0.5, 3, 0, 1},
      {"round(x)", "dy if abs(x) <= 1 else 0", 1.5, 3, 0, 0},
      {"x", "-0.5 * dy", 0.5, 3, 0, -0.5},
      {"x", "clamp(dy, -1, 1)", 2, 0.5, 0, 1},
      {"x", "clamp(dy, -1, 1)", 2, 3, 0, 0},
      {"x * x", "clamp(2 * x * dy, -1, 1)", 0.125, 2, 4, 0.25},
      {"1.0 if x >= 0 else 0.0", "dy / (1 + x * x)", 1, 3, -1.5, 0.5},
      {"1.0 if x >= 0 else 0.0", "dy / (1 + x * x)", 0, 3, 0, 1},
  };
  for (const Case& c : cases) {
    const std::string declared =
        absl::StrCat("def h(x):\n    return ", c.function,
                     "\n\ndef h_grad(x, dy):\n    return ", c.gradient, "\n");
    const Graph graph = SecondOrder(*Make(declared), {"x"}, {"x"});
    EXPECT_EQ(Evaluate<double>(graph, {c.x, c.dy, 1}, {}),
              (std::vector<double>{c.by_x, c.by_dy}))
        << declared;
  }
}

TEST(SecondOrder, OfAHelpersDeclaredGradientIsThatOfItsText) {
  const auto f = Make(
      "def h(x, k=1.0):\n    return k * round(x)\n\n"
      "def h_grad(x, dy, k):\n    return dy * k * sin(x), dy * cos(x)\n\n"
      "def f(x, a=2.0):\n    return 3 * h(x * x, a)\n");
  const double x = 0.7, a = 2, dy = 1.3;
  const Graph of_x = SecondOrder(*f, {"x"}, {"x", "a"});
  const Graph of_a = SecondOrder(*f, {"a"}, {"x"});

  // The gradients are 6 a x sin(x^2) dy and 3 cos(x^2) dy.
  const auto by = Evaluate<double>(of_x, {x, dy, 1}, {a});
  EXPECT_NEAR(by[0],
              6 * a * dy * (std::sin(x * x) + 2 * x * x * std::cos(x * x)),
              1e-14);
  EXPECT_NEAR(by[1], 6 * x * std::sin(x * x) * dy, 1e-14);
  EXPECT_NEAR(by[2], 6 * a * x * std::sin(x * x), 1e-14);
  const auto of_parameter = Evaluate<double>(of_a, {x, dy}, {a, 1});
  EXPECT_NEAR(of_parameter[0], -6 * x * std::sin(x * x) * dy, 1e-14);
}

// As where an autograd function's result is saved for the backward pass.
TEST(SecondOrder, ReachesThroughAHelpersValue) {
  struct Case {
    const char* result;
    // At x = 0.75: the declared gradient of h is 2, whatever x is.
    double by_x;
  };
  const Case cases[] = {
      {"h(x) * h(x)", 2 * 2 * 2},
      {"h(x) * x", 2 * 2},
      {"exp(h(x))", 4 * std::exp(1.0)},
      {"h(h(x)) * x", 2 * 4},
      {"x / h(x)", -2 * 2 + 2 * 0.75 * 4},
      {"rowsum(h(x)) * h(x)", 2 * 2 * 2},
      {"rowsum(exp(h(x)))", 4 * std::exp(1.0)},
      {"1.0 * zero(x) * x", 0},
  };
  for (const Case& c : cases) {
    const auto f =
        Make(absl::StrCat("def h(x):\n    return round(x)\n\n"
                          "def h_grad(x, dy):\n    return 2 * dy\n\n"
                          "def zero(x):\n    return x * x\n\n"
                          "def zero_grad(x, dy):\n    return 0.0 * dy\n\n"
                          "def f(x):\n    return ",
                          c.result, "\n"));
    const Graph graph = SecondOrder(*f, {"x"}, {"x"});
    // x, dy and the cotangent.
    EXPECT_DOUBLE_EQ(EvaluateRow<double>(graph, {{0.75, 1, 1}}, {})[0][0],
                     c.by_x)
        << c.result;
  }
}

TEST(SecondOrder, ReachesThroughAHelperInADeclaredGradient) {
  const auto f = Make(
      "def h(x):\n    return round(x)\n\n"
      "def h_grad(x, dy):\n    return 2 * dy\n\n"
      "def f(x):\n    return x\n\n"
      "def f_grad(x, dy):\n    return dy * h(x) * h(x)\n");
  const Graph graph = SecondOrder(*f, {"x"}, {"x"});

  // x, dy and the cotangent.
  EXPECT_EQ(Evaluate<double>(graph, {1.75, 1, 1}, {})[0], 2 * 2 * 2);
}

// d/dg of the gradient by x is d/dx of the gradient by g.
TEST(SecondOrder, IsSymmetric) {
  const auto activation = Make(kTexts[0]);
  const Graph of_x = SecondOrder(*activation, {"x"}, {"g"});
  const Graph of_g = SecondOrder(*activation, {"g"}, {"x"});
  for (double x = -3; x < 3; x += 0.37) {
    // x, g, dy, and the cotangent.
    const std::vector<Real> at = {x, 1.7 - x * x, 1.3, 0.9};
    const Real a = Evaluate<Real>(of_x, at, {Real(0.5)})[0];
    const Real b = Evaluate<Real>(of_g, at, {Real(0.5)})[0];
    EXPECT_LT(Abs(a - b).ToDouble(), 1e-80);
  }
}

TEST(SecondOrder, NothingLeaksFromTheBranchNotTaken) {
  const Graph graph =
      SecondOrder(*Make("def f(x):\n    return sqrt(x) if x > 0 else 0 * x\n"),
                  {"x"}, {"x"});
  for (const double upstream : {1.0, kInf}) {
    EXPECT_EQ(Evaluate<double>(graph, {-1, upstream, 1}, {}),
              (std::vector<double>{0, 0}));
    EXPECT_EQ(Evaluate<double>(graph, {0, upstream, 1}, {}),
              (std::vector<double>{0, 0}));
  }
}

// What most networks use.
const std::set<std::string_view> kBestKnown = {
    "celu",     "elu",          "gelu",       "gelu_tanh",   "hardsigmoid",
    "hardtanh", "hardswish",    "leaky_relu", "log_softmax", "logsigmoid",
    "mish",     "prelu",        "quick_gelu", "relu",        "relu6",
    "selu",     "sigmoid",      "silu",       "softmax",     "softplus",
    "softsign", "squared_relu", "swish",      "tanh"};

// In expanded operations, for the gradient by dy and by the first input: at
// most 2.5 times those of the first order, beside the few of cheap functions.
TEST(SecondOrder, CostsLittleMoreThanTheFirst) {
  size_t num_best_known = 0;
  for (const CatalogEntry& entry : Catalog()) {
    const auto activation = Make(entry.text);
    const std::vector<std::string> x = {activation->inputs()[0]};
    const auto first = activation->LowerBackward(DType::kFloat64, x);
    const auto second =
        activation->LowerSecondOrder(DType::kFloat64, x, x, true);
    ASSERT_TRUE(first.ok() && second.ok());
    RecordProperty(std::string(entry.name),
                   std::to_string(static_cast<double>(second->weight) /
                                  std::max<int64_t>(first->weight, 1)));
    EXPECT_LE(second->weight, 6 * first->weight + 20) << entry.name;
    if (!kBestKnown.contains(entry.name)) continue;
    ++num_best_known;
    EXPECT_LE(second->weight, 2.5 * first->weight + 4) << entry.name;
  }
  EXPECT_EQ(num_best_known, kBestKnown.size());
}

// The largest error of `graph`, for the cotangents 1, in units of the last
// place of `larger_term`.
template <typename T>
double LargestError(const Graph& graph, double (*larger_term)(double)) {
  double largest = 0;
  for (double at = -60; at <= 60; at += 0.0437) {
    const T x = static_cast<T>(at);
    const Real want = Evaluate<Real>(graph, {Real(x), Real(1), Real(1)}, {})[0];
    const T got = Evaluate<T>(graph, {x, 1, 1}, {})[0];
    const T term = static_cast<T>(larger_term(x));
    const T ulp =
        std::nextafter(term, std::numeric_limits<T>::infinity()) - term;
    largest = std::max(largest, Abs(Real(got) - want).ToDouble() / ulp);
  }
  return largest;
}

// Written with one exponential, and as accurate as the first derivatives.
TEST(SecondOrder, OfSiluAndMishIsAccurate) {
  const auto larger_term = [](double x) {
    const double q = std::exp(-std::fabs(x));
    return q / (1 + q) / (1 + q) * (2 + std::fabs(x));
  };
  for (const std::string_view text :
       {"def f(x):\n    return silu(x)\n", "def f(x):\n    return mish(x)\n"}) {
    SCOPED_TRACE(text);
    const Graph graph = SecondOrder(*Make(text), {"x"}, {"x"});
    EXPECT_LE(LargestError<float>(graph, larger_term), 4);
    EXPECT_LE(LargestError<double>(graph, larger_term), 4);
  }
}

TEST(SecondOrder, RefusesNamesItDoesNotHave) {
  const auto activation = Make(kTexts[0]);
  const auto message = [&](const std::vector<std::string>& of,
                           const std::vector<std::string>& wrt,
                           bool wrt_upstream) {
    return std::string(
        activation->LowerSecondOrder(DType::kFloat32, of, wrt, wrt_upstream)
            .status()
            .message());
  };
  EXPECT_EQ(message({}, {"x"}, false),
            "cotangents names no input and no parameter");
  EXPECT_EQ(message({"x"}, {}, false), "wrt names no input and no parameter");
  EXPECT_EQ(message({"x"}, {}, true), "");
  EXPECT_EQ(message({"z"}, {"x"}, false), "cotangents 'z': f has only x, g, a");
  EXPECT_EQ(message({"x"}, {"x", "x"}, false), "wrt 'x' is given twice");
}

TEST(Tangent, IsTheTransposeOfTheGradient) {
  for (const std::string_view text : {kTexts[0], kTexts[1], kTexts[2]}) {
    SCOPED_TRACE(text);
    const auto activation = Make(text);
    const auto tangent =
        activation->LowerTangent(DType::kFloat64, activation->inputs());
    const auto gradient =
        activation->LowerBackward(DType::kFloat64, activation->inputs());
    ASSERT_TRUE(tangent.ok() && gradient.ok());
    const size_t num_inputs = activation->inputs().size();
    std::vector<std::vector<Real>> forward, backward;
    Real left = 0, right = 0;
    for (size_t e = 0; e < 4; ++e) {
      auto& in = forward.emplace_back();
      auto& with_dy = backward.emplace_back();
      for (size_t i = 0; i < num_inputs; ++i) {
        in.push_back(Real(0.4 * e - 0.9 * i + 0.17));
        with_dy.push_back(in.back());
      }
      for (size_t i = 0; i < num_inputs; ++i) {
        in.push_back(Real(1.0 - 0.3 * e + 0.6 * i));
      }
      with_dy.push_back(Real(0.7 + 0.21 * e));
    }
    const std::vector<Real> parameters = {
        activation->parameters()[0].default_value};
    const auto pushed = EvaluateRow<Real>(tangent->graph, forward, parameters);
    const auto pulled =
        EvaluateRow<Real>(gradient->graph, backward, parameters);
    for (size_t e = 0; e < 4; ++e) {
      left = left + pushed[1][e] * backward[e][num_inputs];
      for (size_t i = 0; i < num_inputs; ++i) {
        right = right + pulled[i][e] * forward[e][num_inputs + i];
      }
    }
    EXPECT_LT(Abs(left - right).ToDouble(), 1e-80);
  }
}

TEST(Tangent, HonoursADeclaredGradient) {
  const auto tangent =
      Make(kTexts[3])->LowerTangent(DType::kFloat64, {"x", "a"});
  ASSERT_TRUE(tangent.ok()) << tangent.status();

  // x, dx; a, da.
  const std::vector<double> at =
      Evaluate<double>(tangent->graph, {0.5, 3}, {2, 10});
  EXPECT_EQ(at[0], 0.5);
  EXPECT_NEAR(at[1], 3 * std::exp(-2 * 0.25) + 10 * 0.5 * 4, 1e-12);
  EXPECT_EQ(
      Make(kTexts[4])->LowerTangent(DType::kFloat64, {"x"}).status().message(),
      "the gradient that f declares is not linear in the upstream "
      "gradient, or reads rows, so there is no tangent");
}

TEST(Tangent, HonoursADeclaredGradientInside) {
  const auto f = Make(
      "def reversed(x, k=0.5):\n    return x\n\n"
      "def reversed_grad(x, dy, k):\n    return -k * dy, 0.0\n\n"
      "def ste(x):\n    return round(x)\n\n"
      "def ste_grad(x, dy):\n    return dy if abs(x) <= 1 else 0\n\n"
      "def f(x):\n    return reversed(ste(x) * ste(x))\n");
  const auto tangent = f->LowerTangent(DType::kFloat64, {"x"});
  ASSERT_TRUE(tangent.ok()) << tangent.status();

  // -0.5 * 2 * round(x), where |x| <= 1.
  EXPECT_EQ(Evaluate<double>(tangent->graph, {0.75, 3}, {})[1], -3);
  EXPECT_EQ(Evaluate<double>(tangent->graph, {1.75, 3}, {})[1], 0);
}

TEST(Tangent, OfAClippedGradientIsRefused) {
  const auto clipped = Make(
      "def clipped(x, a=1.0):\n    return a * x\n\n"
      "def clipped_grad(x, dy, a):\n    return clamp(dy, -a, a)\n");

  EXPECT_EQ(clipped->LowerTangent(DType::kFloat32, {"x"}).status().message(),
            "the gradient that clipped declares is not linear in the upstream "
            "gradient, or reads rows, so there is no tangent");
  EXPECT_EQ(clipped->LowerForward(DType::kFloat32, {"x"}).status().message(),
            "the gradient that clipped declares is not linear in the upstream "
            "gradient, so there are no partials: use Backward");
  EXPECT_EQ(Activation::Create(
                clipped->text() + "\ndef f(x):\n    return 2 * clipped(x)\n",
                {}, nullptr)
                .status()
                .message(),
            "8:16: error: the gradient declared for 'clipped' is not linear in "
            "the upstream gradient, or reads rows, so it cannot be used inside "
            "another activation\n"
            "        return 2 * clipped(x)\n"
            "                   ^\n");
}

}  // namespace
}  // namespace actserve
