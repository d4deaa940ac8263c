// The programs of an activation: which there are, in which types they compute,
// and what they draw and broadcast.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/activation/gradient_check.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/graph/interpret.h"
#include "kernels/math/math.h"

namespace actserve {
namespace {

using testing::At;
using ::testing::ElementsAre;
using testing::ErrorOf;
using ::testing::HasSubstr;
using testing::kSpiky;
using testing::Make;

constexpr char kClipped[] =
    "def clipped(x):\n    return x * x\n\n"
    "def clipped_grad(x, dy):\n    return clamp(2 * x * dy, -1, 1)\n";

constexpr char kNoisy[] =
    "def noisy(x, sigma=0.5, seed=3):\n"
    "    return x * x + sigma * normal(seed, 1)\n";

TEST(Draws, AreFlatInTheirSeed) {
  const auto noisy = Make(kNoisy);
  const auto program =
      noisy->LowerBackward(DType::kFloat64, {"x", "sigma", "seed"});
  ASSERT_TRUE(program.ok()) << program.status();
  const double parameters[] = {0.5, 3};
  const DrawState at = {parameters, 17};

  const auto got = Evaluate<double>(program->graph, {1.5, 2.0}, parameters, at);

  EXPECT_THAT(got, ElementsAre(6.0, 2 * actserve_normal_f64(3, 1, 17), 0.0));
}

TEST(Draws, AreTheSameInForwardAndBackward) {
  const auto gate = Make(
      "def gate(x, p=0.5, seed=9):\n"
      "    return x / p if uniform(seed) < p else 0\n");
  const auto forward = gate->LowerForward(DType::kFloat32, {"x"});
  const auto backward = gate->LowerBackward(DType::kFloat32, {"x"});
  const double parameters[] = {0.5, 9};
  int kept = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    const DrawState at = {parameters, i};

    const auto y = Evaluate<float>(forward->graph, {4}, {0.5f, 9}, at);
    const auto dx = Evaluate<float>(backward->graph, {4, 1}, {0.5f, 9}, at);

    EXPECT_EQ(y[0], 4 * y[1]);
    EXPECT_EQ(dx[0], y[1]);
    kept += y[0] != 0 ? 1 : 0;
  }
  EXPECT_NEAR(kept, 500, 80);
}

TEST(Draws, KeepSixteenBitProgramsFromTables) {
  const auto noisy = Make(kNoisy);
  for (const auto& program : {noisy->LowerForward(DType::kFloat16, {}),
                              noisy->LowerBackward(DType::kFloat16, {"x"})}) {
    ASSERT_TRUE(program.ok());
    EXPECT_EQ(program->rule, LoweredProgram::Rule::kDirect);
    EXPECT_EQ(program->compute, DType::kFloat32);
  }
}

TEST(Draws, SayWhichParametersAreSeeds) {
  const auto noisy = Make(kNoisy);

  EXPECT_TRUE(noisy->draws());
  EXPECT_FALSE(noisy->IsSeed(0));
  EXPECT_TRUE(noisy->IsSeed(1));
  EXPECT_FALSE(Make(kSpiky)->draws());
}

TEST(Draws, TakeOneSeed) {
  const auto noisy = Make(kNoisy);

  EXPECT_TRUE(noisy->WithBroadcasts({"sigma"}).ok());
  EXPECT_EQ(noisy->WithBroadcasts({"seed"}).status().message(),
            "broadcast 'seed': a seed is one number");
}

TEST(Draws, AreCheckedWithTheirSeedHeld) {
  const GradientCheck check = CheckGradient(*Make(kNoisy));

  EXPECT_GT(check.num_points, 40);
  EXPECT_LT(check.max_error, 1e-6);
}

TEST(Draws, OfRowsAreCheckedWithTheirSeedHeld) {
  const GradientCheck check =
      CheckGradient(*Make("def f(x, seed=7, t=2):\n"
                          "    e = exp(t * x) * uniform(seed)\n"
                          "    return e / rowsum(e)\n"));

  EXPECT_GT(check.num_points, 4);
  EXPECT_LT(check.max_error, 1e-6);
}

TEST(Draws, OfADeclaredGradientAreHonouredInside) {
  const auto outer = Make(
      "def inner(x, seed=1):\n    return x\n"
      "def inner_grad(x, dy, seed=1):\n    return dy * uniform(seed, 2)\n"
      "def f(x, s=4):\n    return 3 * inner(x, s)\n");
  const auto program = outer->LowerBackward(DType::kFloat64, {"x"});
  ASSERT_TRUE(program.ok()) << program.status();
  const double parameters[] = {4};

  const auto got =
      Evaluate<double>(program->graph, {1, 1}, parameters, {parameters, 21});

  EXPECT_DOUBLE_EQ(got[0], 3 * actserve_uniform_f64(4, 2, 21));
}

TEST(Lower, SixteenBitsOfOneInputAreRoundedOnceFromFloat64) {
  const auto silu = Make("def silu(x):\n    return x * sigmoid(x)\n");
  const auto forward = silu->LowerForward(DType::kBFloat16, {"x"});
  const auto backward = silu->LowerBackward(DType::kFloat16, {"x"});

  EXPECT_EQ(forward->rule, LoweredProgram::Rule::kRoundOnce16);
  EXPECT_EQ(forward->compute, DType::kFloat64);
  EXPECT_EQ(forward->num_tensor_inputs(), 1);
  EXPECT_EQ(backward->rule, LoweredProgram::Rule::kDerivative16);
  EXPECT_EQ(backward->compute, DType::kFloat64);
  EXPECT_EQ(backward->num_tensor_inputs(), 2);
  EXPECT_THAT(backward->graph.inputs, ElementsAre("x"));
}

TEST(Lower, OtherSixteenBitProgramsComputeInFloat32) {
  const auto glu = Make("def glu(x, g):\n    return x * sigmoid(g)\n");
  const auto prelu =
      Make("def f(x, a=0.25):\n    return x if x > 0 else a * x\n");
  const auto clipped = Make(kClipped);

  for (const auto& program : {glu->LowerForward(DType::kBFloat16, {}),
                              prelu->LowerBackward(DType::kFloat16, {"a"}),
                              clipped->LowerBackward(DType::kFloat16, {"x"})}) {
    EXPECT_EQ(program->rule, LoweredProgram::Rule::kDirect);
    EXPECT_EQ(program->compute, DType::kFloat32);
  }
}

TEST(Lower, ProgramIdsTellNumbersApart) {
  const auto glu = Make("def glu(x, g):\n    return x * sigmoid(g)\n");
  std::set<std::string> ids;

  for (DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    ids.insert(glu->LowerForward(dtype, {})->program_id);
    ids.insert(glu->LowerForward(dtype, {"x"})->program_id);
    ids.insert(glu->LowerBackward(dtype, {"x"})->program_id);
    ids.insert(glu->LowerBackward(dtype, {"g"})->program_id);
    ids.insert(glu->LowerBackward(dtype, {"g", "x"})->program_id);
  }

  EXPECT_EQ(ids.size(), 20u);
  EXPECT_EQ(ids.begin()->size(), 7u + 64u);
}

TEST(Lower, ComputesPartialsBesideTheValue) {
  const auto glu = Make("def glu(x, g):\n    return x * g\n");
  const auto program = glu->LowerForward(DType::kFloat64, {"g", "x"});

  EXPECT_THAT(Evaluate<double>(program->graph, {3.0, 5.0}, {}),
              ElementsAre(15.0, 3.0, 5.0));
}

TEST(Lower, AnInputMayBeCalledLikeTheUpstreamGradient) {
  const auto f = Make("def f(x, dy):\n    return x * dy\n");
  const auto program = f->LowerBackward(DType::kFloat64, {"dy"});

  EXPECT_EQ(At<double>(*program, {3.0, 5.0, 2.0}), 6.0);
}

TEST(Lower, RefusesNamesItDoesNotHave) {
  const auto prelu =
      Make("def f(x, a=0.25):\n    return x if x > 0 else a * x\n");
  const auto message = [](const auto& status) {
    return std::string(status.status().message());
  };

  EXPECT_THAT(message(prelu->LowerBackward(DType::kFloat32, {"b"})),
              HasSubstr("wrt 'b': f has only x, a"));
  EXPECT_THAT(message(prelu->LowerBackward(DType::kFloat32, {"x", "x"})),
              HasSubstr("'x' is given twice"));
  EXPECT_THAT(message(prelu->LowerBackward(DType::kFloat32, {})),
              HasSubstr("wrt names no input"));
  EXPECT_THAT(message(prelu->LowerForward(DType::kFloat32, {"a"})),
              HasSubstr("partial 'a': f has only x"));
}

TEST(Lower, HeavyProgramsAreNotInterleaved) {
  LanguageLimits limits;
  limits.interleaved_weight = 3;
  const auto light = Make("def f(x):\n    return x * x\n", {.limits = limits});
  const auto heavy = Make("def f(x):\n    return exp(x)\n", {.limits = limits});

  EXPECT_TRUE(light->LowerForward(DType::kFloat32, {})->interleave);
  EXPECT_FALSE(heavy->LowerForward(DType::kFloat32, {})->interleave);
}

TEST(Lower, RefusesGradientsOverTheLimit) {
  LanguageLimits limits;
  limits.weight = 200;
  const auto error =
      ErrorOf("def f(x):\n    return x * sin(x)\n", {.limits = limits});

  EXPECT_THAT(error, HasSubstr("the gradient with respect to 'x'"));
  EXPECT_THAT(error, HasSubstr("limit 200"));
}

// Texts for people.

TEST(Broadcasts, ComeLastAndAreSummed) {
  const auto gate = Make("def f(b, x, a=1):\n    return a * x + b\n");
  const auto broadcasting = gate->WithBroadcasts({"a", "b"});
  ASSERT_TRUE(broadcasting.ok()) << broadcasting.status();
  const auto program =
      (*broadcasting)->LowerBackward(DType::kFloat32, {"b", "x", "a"});
  ASSERT_TRUE(program.ok()) << program.status();

  EXPECT_THAT(program->graph.inputs, ElementsAre("x", "dL/dy", "b", "a"));
  EXPECT_EQ(program->num_broadcasts, 2);
  const std::vector<Output>& outputs = program->graph.outputs;
  EXPECT_EQ(outputs[0].like, 0);
  EXPECT_EQ(outputs[1].like, -1);
  EXPECT_EQ(outputs[2].like, 1);
  EXPECT_TRUE(outputs[0].summed && !outputs[1].summed && outputs[2].summed);
  // x = 3, dy = 5, b = 7, a = 11.
  EXPECT_THAT(Evaluate<float>(program->graph, {3, 5, 7, 11}, {1}),
              ElementsAre(5, 55, 15));
}

TEST(Broadcasts, HaveCotangentsAndTangentsThatComeLastToo) {
  const auto gate = Make("def f(b, x, a=1):\n    return a * x * b\n");
  const auto broadcasting = gate->WithBroadcasts({"a", "b"});
  ASSERT_TRUE(broadcasting.ok()) << broadcasting.status();
  const auto second =
      (*broadcasting)
          ->LowerSecondOrder(DType::kFloat64, {"b", "x", "a"}, {"b", "x", "a"},
                             /*wrt_upstream=*/true);
  const auto tangent =
      (*broadcasting)->LowerTangent(DType::kFloat64, {"b", "x"});
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE(tangent.ok()) << tangent.status();

  EXPECT_THAT(second->graph.inputs,
              ElementsAre("x", "dL/dy", "d x", "b", "a", "d b", "d a"));
  EXPECT_EQ(second->num_broadcasts, 4);
  std::vector<int> like;
  for (const Output& output : second->graph.outputs) {
    EXPECT_EQ(output.summed, output.like >= 0);
    like.push_back(output.like);
  }
  EXPECT_THAT(like, ElementsAre(0, -1, 1, -1));
  // The loss is dL/dy (d_b a x + d_x a b + d_a x b).
  EXPECT_THAT(
      Evaluate<double>(second->graph, {2, 3, 5, 7, 11, 13, 17}, {1}),
      ElementsAre(3 * (5 * 11 + 17 * 2), 3 * (13 * 11 + 17 * 7),
                  3 * (13 * 2 + 5 * 7), 13 * 11 * 2 + 5 * 11 * 7 + 17 * 2 * 7));
  EXPECT_THAT(tangent->graph.inputs, ElementsAre("x", "d x", "b", "a", "d b"));
  EXPECT_EQ(tangent->num_broadcasts, 3);
  EXPECT_THAT(Evaluate<double>(tangent->graph, {2, 5, 7, 11, 13}, {1}),
              ElementsAre(154, 13 * 11 * 2 + 5 * 11 * 7));
}

// The upstream gradient is not of the shape of such an input.
TEST(Broadcasts, MayBeCalledLikeTheUpstreamGradient) {
  const auto f = Make("def f(x, dy):\n    return x * dy\n");
  const auto program =
      (*f->WithBroadcasts({"dy"}))->LowerBackward(DType::kFloat64, {"x", "dy"});
  ASSERT_TRUE(program.ok()) << program.status();

  EXPECT_THAT(program->graph.inputs, ElementsAre("x", "dL/dy", "dy"));
  EXPECT_EQ(program->num_broadcasts, 1);
}

TEST(Broadcasts, MayBeCalledLikeTheResult) {
  const auto f = Make("def f(x, y, tangent):\n    return x + y + tangent\n");
  const auto broadcasting = *f->WithBroadcasts({"y", "tangent"});
  for (const auto& program :
       {broadcasting->LowerForward(DType::kFloat64, {}),
        broadcasting->LowerTangent(DType::kFloat64, {"x", "y"})}) {
    ASSERT_TRUE(program.ok()) << program.status();
    for (const Output& output : program->graph.outputs) {
      EXPECT_FALSE(output.summed) << output.name;
      EXPECT_EQ(output.like, -1) << output.name;
    }
  }
}

TEST(Broadcasts, ThatCannotBeAreRefused) {
  const auto gate = Make("def f(b, x, a=1):\n    return a * x + b\n");

  EXPECT_THAT(gate->WithBroadcasts({"c"}).status().message(),
              HasSubstr("broadcast 'c': f has only b, x, a"));
  EXPECT_THAT(gate->WithBroadcasts({"a", "a"}).status().message(),
              HasSubstr("broadcast 'a' is given twice"));
  EXPECT_THAT(gate->WithBroadcasts({"b", "x"}).status().message(),
              HasSubstr("one must have the shape of the result"));
  EXPECT_THAT((*gate->WithBroadcasts({"b"}))
                  ->LowerForward(DType::kFloat32, {"b"})
                  .status()
                  .message(),
              HasSubstr("partial 'b': its tensor broadcasts"));
}

}  // namespace
}  // namespace actserve
