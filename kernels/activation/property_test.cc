// What holds for every program, on random ones. Each failure prints the seed
// and the text.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/activation/activation.h"
#include "kernels/graph/derive/differentiate.h"
#include "kernels/graph/passes/declared.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/print.h"
#include "kernels/graph/reference/real_ops.h"
#include "kernels/graph/testing/graphs.h"
#include "kernels/graph/testing/random_program.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::InterestingNumbers;
using testing::RandomProgram;
using testing::RandomProgramOptions;
using testing::Real;
using testing::SameBits;
using testing::ValueAt;

constexpr uint64_t kNumPrograms = 500;

// True if an operation of `graph` has constants only: what choices between
// equal constants leave, if float32 and float64 programs disagree about it.
bool ComputesOnConstants(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    bool all = node.operands[0] != kNoNode;
    for (NodeId operand : node.operands) {
      all = all && (operand == kNoNode || graph.is_constant(operand));
    }
    if (all) return true;
  }
  return false;
}

// True if nothing that `graph` computes at `x` overflows or is undefined.
bool IsTameAt(Graph graph, double x) {
  const Graph original = graph;
  graph.outputs.clear();
  const std::vector<bool> live = original.LiveNodes();
  for (size_t i = 0; i < live.size(); ++i) {
    const NodeId id = static_cast<NodeId>(i);
    if (live[i] && !graph.is_bool(id)) graph.outputs.push_back({"", id});
  }
  const std::vector<Real> inputs = {Real(x)};
  std::vector<Real> parameters;
  for (const Parameter& parameter : graph.parameters) {
    parameters.push_back(Real(parameter.default_value));
  }
  for (const Real& value : Evaluate<Real>(graph, inputs, parameters)) {
    if (!(Abs(value) < Real(1e100))) return false;
  }
  return true;
}

template <typename T>
void ExpectSameBits(const Graph& a, const Graph& b, uint64_t seed) {
  for (double x : InterestingNumbers(seed, 40)) {
    const std::vector<T> inputs = {static_cast<T>(x)};
    const T one = ValueAt<T>(a, inputs), two = ValueAt<T>(b, inputs);
    ASSERT_TRUE(SameBits(one, two))
        << "at " << x << ": " << one << " and " << two;
  }
}

TEST(Property, SimplifyKeepsEveryBit) {
  for (uint64_t seed = 0; seed < kNumPrograms; ++seed) {
    const std::string text = RandomProgram(seed, {});
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    const Graph graph = GraphOf(text);
    const Graph simple = Simplify(graph);

    ExpectSameBits<float>(graph, simple, seed);
    ExpectSameBits<double>(graph, simple, seed);
  }
}

TEST(Property, SimplifyIsDoneAfterOnePass) {
  for (uint64_t seed = 0; seed < kNumPrograms; ++seed) {
    const Graph simple =
        Simplify(WithoutDeclared(GraphOf(RandomProgram(seed, {}))));

    EXPECT_EQ(PrintGraph(Simplify(simple), "f"), PrintGraph(simple, "f"))
        << "seed " << seed;
  }
}

TEST(Property, PrintedTextParsesBack) {
  for (uint64_t seed = 0; seed < kNumPrograms; ++seed) {
    const std::string text = RandomProgram(seed, {.num_inputs = 2});
    const Graph graph = Simplify(WithoutDeclared(GraphOf(text)));
    // Folded on the way back, in float64, where a text would have it so.
    if (ComputesOnConstants(graph)) continue;
    const std::string printed = PrintGraph(graph, "f");

    EXPECT_EQ(PrintGraph(GraphOf(printed), "f"), printed)
        << "seed " << seed << "\n"
        << text;
  }
}

// Texts with random damage: an activation or an error, never anything else.
TEST(Property, DamagedTextsAreRefusedOrRight) {
  std::mt19937_64 random(11);
  int accepted = 0;
  for (uint64_t seed = 0; seed < 2 * kNumPrograms; ++seed) {
    std::string text = RandomProgram(seed, {});
    for (int i = static_cast<int>(random() % 3); i >= 0; --i) {
      const size_t at = random() % text.size();
      constexpr std::string_view kBytes = "x1 .,()=+-*/%<>:\n\t#\"if\xff";
      if (random() % 2 == 0) {
        text.erase(at, 1 + random() % 4);
      } else {
        text.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
      if (text.empty()) break;
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    const auto activation = Activation::Create(text, {}, nullptr);
    if (!activation.ok()) {
      EXPECT_EQ(activation.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_FALSE(activation.status().message().empty());
      continue;
    }
    ++accepted;
    EXPECT_TRUE((*activation)->LowerForward(DType::kFloat32, {}).ok());
  }
  EXPECT_GT(accepted, 20);
}

// The derivative graph against differences of the function over 1e-60, both
// with 320 bits: no tolerance for conditioning is needed.
TEST(Property, DerivativeIsTheLimitOfDifferences) {
  int compared = 0;
  for (uint64_t seed = 0; seed < kNumPrograms; ++seed) {
    const std::string text = RandomProgram(seed, {.only_smooth = true});
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    Graph graph = GraphOf(text);
    Graph gradient = graph;
    const NodeId derivative =
        Differentiate(gradient, gradient.outputs[0].node, gradient.Input(0));
    if (derivative == kNoNode) continue;
    gradient.outputs[0].node = derivative;
    for (double x : {-3.173, -0.7718, -0.1129, 0.2347, 0.9131, 2.7173}) {
      if (!IsTameAt(graph, x)) continue;
      const Real h("1e-60");
      const Real up = ValueAt<Real>(graph, {Real(x) + h});
      const Real down = ValueAt<Real>(graph, {Real(x) - h});
      const double want = ((up - down) / (Real(2) * h)).ToDouble();
      const double got = ValueAt<Real>(gradient, {Real(x)}).ToDouble();
      if (!std::isfinite(want) || std::fabs(want) > 1e30) continue;
      ++compared;
      EXPECT_NEAR(got, want, 1e-12 * std::max(1.0, std::fabs(want)))
          << "at " << x;
    }
  }
  EXPECT_GT(compared, 500);
}

}  // namespace
}  // namespace actserve
