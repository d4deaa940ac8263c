// The derivatives of gradients, and tangents, of whole activations.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/graph/reference/real_ops.h"

namespace actserve {
namespace {

using testing::Real;

constexpr double kInf = std::numeric_limits<double>::infinity();

std::shared_ptr<const Activation> Make(std::string_view text) {
  auto made = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

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

// In expanded operations, for the gradient by dy and by the first input.
TEST(SecondOrder, CostsLittleMoreThanTheFirst) {
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
  EXPECT_EQ(message({}, {"x"}, false), "of names no input and no parameter");
  EXPECT_EQ(message({"x"}, {}, false), "wrt names no input and no parameter");
  EXPECT_EQ(message({"x"}, {}, true), "");
  EXPECT_EQ(message({"z"}, {"x"}, false), "of 'z': f has only x, g, a");
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
      left = left + pushed[0][e] * backward[e][num_inputs];
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
  EXPECT_NEAR(Evaluate<double>(tangent->graph, {0.5, 3}, {2, 10})[0],
              3 * std::exp(-2 * 0.25) + 10 * 0.5 * 4, 1e-12);
  EXPECT_EQ(
      Make(kTexts[4])->LowerTangent(DType::kFloat64, {"x"}).status().message(),
      "the gradient that f declares is not linear in the upstream "
      "gradient, or reads rows, so there is no tangent");
}

}  // namespace
}  // namespace actserve
