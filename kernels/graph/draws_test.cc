#include "kernels/graph/draws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "kernels/graph/interpret.h"
#include "kernels/graph/passes/simplify.h"
#include "kernels/graph/testing/graphs.h"
#include "kernels/math/math.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using testing::GraphOf;
using testing::GraphOfExpression;

int CountDraws(const Graph& graph) {
  int count = 0;
  for (const Node& node : graph.nodes()) count += IsDraw(node.op) ? 1 : 0;
  return count;
}

TEST(Draws, EqualOnesAreOneNode) {
  const Graph graph =
      Simplify(GraphOf("def f(x, a=1, b=1):\n"
                       "    return (uniform(a) - uniform(a, 0)) * "
                       "(uniform(stream=0, seed=a))\n"));

  EXPECT_EQ(CountDraws(graph), 1);
}

TEST(Draws, OfOtherSeedsStreamsAndKindsAreOthers) {
  const Graph graph = Simplify(GraphOf(
      "def f(x, a=1, b=1):\n"
      "    return uniform(a) - uniform(b) - uniform(a, 1) - normal(a) - "
      "uniform(1)\n"));

  EXPECT_EQ(CountDraws(graph), 5);
}

TEST(Draws, OfConstantsAreNotFolded) {
  EXPECT_TRUE(Simplify(GraphOfExpression("exp(uniform(3, 4))")).HasDraws());
  EXPECT_FALSE(
      Simplify(GraphOfExpression("uniform(3) if 1 > 2 else x")).HasDraws());
}

TEST(Draws, TakeASeedOfMoreBitsThanAFloatHas) {
  const Graph graph =
      GraphOf("def f(x, seed=0):\n    return normal(seed, 7)\n");
  for (const double seed : {0.0, 16777217.0, kMaxSeed - 1, kMaxSeed}) {
    const double parameters[] = {seed};
    const float rounded[] = {static_cast<float>(seed)};
    const DrawState at = {parameters, 123'456'789'012};

    const float got = Evaluate<float>(graph, {0.0f}, rounded, at)[0];

    EXPECT_EQ(got, actserve_normal_f32(static_cast<uint64_t>(seed), 7,
                                       123'456'789'012));
  }
}

TEST(Draws, WordsAreThePlaceAndTheSeedsThatAreUsed) {
  const Graph graph = GraphOf(
      "def f(x, scale=0.5, b=1, unused=2, a=3):\n"
      "    return scale * uniform(a) + normal(b) + uniform(8)\n");

  EXPECT_THAT(SeedParameters(graph), ElementsAre(1, 3));
  EXPECT_THAT(DrawWords(graph, {0.5, 11, 22, kMaxSeed}, 77),
              ElementsAre(77u, 11u, uint64_t{1} << 53));
  EXPECT_THAT(DrawWords(GraphOfExpression("x"), {}, 77), ElementsAre());
}

TEST(Draws, OperandsAreIntegersWithinTheirBound) {
  for (const double value : {0.0, 1.0, kMaxSeed}) {
    EXPECT_TRUE(IsDrawOperand(value, kMaxSeed)) << value;
  }
  for (const double value :
       {-1.0, 0.5, kMaxSeed + 2, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_FALSE(IsDrawOperand(value, kMaxSeed)) << value;
  }
}

}  // namespace
}  // namespace actserve
