#include "kernels/activation/activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

using ::testing::AllOf;
using testing::At;
using ::testing::ElementsAre;
using testing::ErrorOf;
using ::testing::HasSubstr;
using testing::kSpiky;
using testing::Make;

TEST(Activation, SpikyHasTheValuesOfTheOriginalQuestion) {
  const auto spiky = Make(kSpiky);
  const auto program = spiky->LowerForward(DType::kFloat32, {});

  ASSERT_TRUE(program.ok());
  EXPECT_EQ(At<float>(*program, {0.2f}), 0.2f);
  EXPECT_EQ(At<float>(*program, {0.7f}), 0.0f);
  EXPECT_EQ(At<float>(*program, {1.2f}), 0.20000005f);
  EXPECT_EQ(At<float>(*program, {1.7f}), 0.0f);
}

TEST(Activation, SpikyHasTheGradientOfTheOriginalQuestion) {
  const auto spiky = Make(kSpiky);
  const auto program = spiky->LowerBackward(DType::kFloat32, {"x"});

  ASSERT_TRUE(program.ok());
  EXPECT_THAT(program->graph.inputs, ElementsAre("x", "dL/dy"));
  EXPECT_EQ(At<float>(*program, {0.2f, 3.0f}), 3.0f);
  EXPECT_EQ(At<float>(*program, {0.7f, 3.0f}), 0.0f);
  EXPECT_EQ(At<float>(*program, {1.2f, 3.0f}), 3.0f);
}

TEST(Activation, ZeroBranchStaysZeroWhateverArrives) {
  const auto program = Make(kSpiky)->LowerBackward(DType::kFloat32, {"x"});

  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(At<float>(*program, {0.7f, inf}), 0.0f);
}

TEST(Activation, RendersErrorsWithTheirPosition) {
  EXPECT_THAT(ErrorOf("def f(x):\n    return x if x else 0\n"),
              HasSubstr("2:17: error: this is a number where a truth value is "
                        "needed"));
}

TEST(Activation, KnowsItsTextAndSignature) {
  const auto prelu = Make(
      "def prelu(x, a=0.25):\n    \"\"\"A doc.\"\"\"\n"
      "    return x if x > 0 else a * x\n");

  EXPECT_EQ(prelu->name(), "prelu");
  EXPECT_EQ(prelu->doc(), "A doc.");
  EXPECT_THAT(prelu->inputs(), ElementsAre("x"));
  ASSERT_EQ(prelu->parameters().size(), 1u);
  EXPECT_EQ(prelu->parameters()[0].name, "a");
  EXPECT_EQ(prelu->parameters()[0].default_value, 0.25);
  EXPECT_FALSE(prelu->has_declared_gradient());
}

TEST(Activation, BindsNumbersFromOutside) {
  const auto f = Make("def f(x):\n    return x * scale\n",
                      {.constants = {{"scale", 2.5}}});

  EXPECT_EQ(At<double>(*f->LowerForward(DType::kFloat64, {}), {2.0}), 5.0);
}

TEST(Activation, ExactKeepsTheFormulaAndHasAnotherId) {
  const char* text = "def f(x):\n    return 1 / (1 + exp(-x))\n";
  const auto stable = Make(text);
  const auto exact = Make(text, {.exact = true});

  EXPECT_THAT(stable->rewrites(),
              ElementsAre("1 / (1 + exp(-x)) -> sigmoid(x)"));
  EXPECT_TRUE(exact->rewrites().empty());
  EXPECT_NE(stable->id(), exact->id());
  EXPECT_THAT(stable->CanonicalText(), HasSubstr("sigmoid(x)"));
  EXPECT_THAT(exact->CanonicalText(), HasSubstr("1.0 + "));
}

TEST(Activation, IdIgnoresNamesOfLocalsAndComments) {
  EXPECT_EQ(Make("def f(x):\n    t = x * x\n    return t + 1\n")->id(),
            Make("def f(x):\n    # a square\n    s = x * x\n\n"
                 "    return s + 1\n")
                ->id());
}

// Declared gradients.

constexpr char kStraightThrough[] =
    "def ste(x):\n    return round(x)\n\n"
    "def ste_grad(x, dy):\n    return dy if abs(x) < 2 else 0\n";
constexpr char kClipped[] =
    "def clipped(x):\n    return x * x\n\n"
    "def clipped_grad(x, dy):\n    return clamp(2 * x * dy, -1, 1)\n";

TEST(DeclaredGradient, ReplacesTheDerivedOne) {
  const auto ste = Make(kStraightThrough);
  const auto program = ste->LowerBackward(DType::kFloat32, {"x"});

  EXPECT_TRUE(ste->has_declared_gradient());
  EXPECT_EQ(At<float>(*program, {0.7f, 3.0f}), 3.0f);
  EXPECT_EQ(At<float>(*program, {2.7f, 3.0f}), 0.0f);
}

TEST(DeclaredGradient, LinearOneHasPartials) {
  const auto program =
      Make(kStraightThrough)->LowerForward(DType::kFloat64, {"x"});

  ASSERT_TRUE(program.ok());
  const auto values = Evaluate<double>(program->graph, {0.7}, {});
  EXPECT_THAT(values, ElementsAre(1.0, 1.0));
}

TEST(DeclaredGradient, OtherOneWorksInReverseOnly) {
  const auto clipped = Make(kClipped);

  EXPECT_EQ(
      At<float>(*clipped->LowerBackward(DType::kFloat32, {"x"}), {3.0f, 5.0f}),
      1.0f);
  EXPECT_THAT(
      std::string(
          clipped->LowerForward(DType::kFloat32, {"x"}).status().message()),
      HasSubstr("not linear in the upstream gradient"));
}

TEST(DeclaredGradient, IsHonouredInsideOtherActivations) {
  const auto f = Make(
      "def ste(x):\n    return round(x)\n\n"
      "def ste_grad(x, dy):\n    return dy\n\n"
      "def f(x):\n    return ste(3 * x) * x\n");
  const auto program = f->LowerBackward(DType::kFloat64, {"x"});

  // round(3x) + 3x: the slope of ste counts as 1.
  EXPECT_EQ(At<double>(*program, {0.4, 1.0}), 1 + 3 * 0.4);
}

TEST(DeclaredGradient, ThatIsNotLinearIsRefusedInside) {
  EXPECT_THAT(ErrorOf("def g(x):\n    return x\n\n"
                      "def g_grad(x, dy):\n    return sign(dy)\n\n"
                      "def f(x):\n    return 2 * g(x)\n"),
              HasSubstr("8:16: error: the gradient declared for 'g' is not "
                        "linear in the upstream gradient"));
}

TEST(DeclaredGradient, OfABuiltInIsHonouredInside) {
  const auto f = Make("def f(x):\n    return relu(x) + 1\n");
  const auto program = f->LowerBackward(DType::kFloat64, {"x"});

  EXPECT_TRUE(std::isnan(At<double>(*program, {std::nan(""), 1.0})));
  EXPECT_EQ(At<double>(*program, {0.0, 1.0}), 0.0);
}

TEST(DeclaredGradient, OfASpikingNeuronIsHonouredInside) {
  const auto f = Make(
      "def f(x, theta=0.5, a=2.0):\n    return 3 * spike_atan(x - theta, a)\n");
  const auto program = f->LowerBackward(DType::kFloat64, {"x", "theta", "a"});
  ASSERT_TRUE(program.ok()) << program.status();

  EXPECT_THAT(Evaluate<double>(program->graph, {0.5, 2.0}, {0.5, 2.0}),
              ElementsAre(6, -6, 0));
}

// A derived gradient of a parameter beside a declared one of the input trained
// a quantizer's step in the wrong direction.
TEST(DeclaredGradient, IsNeverMixedWithADerivedOne) {
  const auto f = Make(
      "def f(x, a=2.0):\n    return a * round(x)\n\n"
      "def f_grad(x, dy, a=2.0):\n    return a * dy\n");

  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"x"}), {1.2, 3.0}),
            6.0);
  EXPECT_FALSE(f->HasGradient("a"));
  const absl::Status refused =
      f->LowerBackward(DType::kFloat64, {"x", "a"}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(),
            "wrt 'a': the gradient that f declares covers x only; to declare "
            "that of a too, let f_grad return 2 values: d_x, d_a, each times "
            "dy");
}

constexpr char kQuantizer[] =
    "def lsq(x, step=0.125):\n"
    "    return round(clamp(x / step, -8, 7)) * step\n\n"
    "def lsq_grad(x, dy, step=0.125):\n"
    "    v = x / step\n"
    "    if v < -8:\n        return 0.0, -8 * dy\n"
    "    if v > 7:\n        return 0.0, 7 * dy\n"
    "    return dy, (round(v) - v) * dy\n";

TEST(DeclaredGradient, MayCoverParameters) {
  const auto lsq = Make(kQuantizer);
  const auto program = lsq->LowerBackward(DType::kFloat64, {"step", "x"});
  const auto at = [&](double x, double dy) {
    return Evaluate<double>(program->graph, {x, dy}, {0.125});
  };

  EXPECT_TRUE(lsq->HasGradient("step"));
  EXPECT_TRUE(program->graph.outputs[0].summed);
  EXPECT_FALSE(program->graph.outputs[1].summed);
  EXPECT_THAT(at(-2.3, 1), ElementsAre(-8.0, 0.0));
  EXPECT_THAT(at(0.53, 2), ElementsAre(2 * (4 - 0.53 / 0.125), 2.0));
  EXPECT_THAT(at(1.7, 3), ElementsAre(21.0, 0.0));
}

TEST(DeclaredGradient, OfAParameterIsHonouredInside) {
  const auto f = Make(std::string(kQuantizer) +
                      "\ndef f(x, s=0.25):\n    return 3 * lsq(x, s / 2)\n");

  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"x"}), {0.4, 2.0}),
            6.0);
  EXPECT_DOUBLE_EQ(
      Evaluate<double>(f->LowerBackward(DType::kFloat64, {"s"})->graph,
                       {0.53, 1.0}, {0.25})[0],
      1.5 * (4 - 0.53 / 0.125));
}

TEST(DeclaredGradient, OfAHelperMayNameParametersWithoutDefaults) {
  const auto f = Make(
      "def h(x, k=1.0):\n    return k * round(x)\n\n"
      "def h_grad(x, dy, k):\n    return k * dy, 5 * dy\n\n"
      "def f(x, a=2.0):\n    return h(x, a)\n");

  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"a"}), {3.2, 1.0}),
            5.0);
  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"x"}), {3.2, 1.0}),
            2.0);
}

TEST(DeclaredGradient, OfTheInputOnlyWarnsWhereAParameterIsDerivedInside) {
  std::vector<Diagnostic> diagnostics;
  const auto f = Activation::Create(
      "def h(x, k=1.0):\n    return k * round(x)\n\n"
      "def h_grad(x, dy, k=1.0):\n    return k * dy\n\n"
      "def f(x, a=2.0):\n    return h(x, a)\n",
      {}, &diagnostics);

  ASSERT_TRUE(f.ok());
  ASSERT_FALSE(diagnostics.empty());
  EXPECT_EQ(diagnostics[0].severity, Diagnostic::Severity::kWarning);
  EXPECT_THAT(diagnostics[0].message,
              HasSubstr("'h_grad' returns no gradient of 'k'"));
}

TEST(DeclaredGradient, OfHelperPassesParametersOn) {
  const auto f = Make(
      "def h(x, k=1.0):\n    return k * round(x)\n\n"
      "def h_grad(x, dy, k=1.0):\n    return k * dy\n\n"
      "def f(x, a=2.0):\n    return h(x, a)\n");

  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"a"}), {3.2, 1.0}),
            3.0);
  EXPECT_EQ(At<double>(*f->LowerBackward(DType::kFloat64, {"x"}), {3.2, 1.0}),
            2.0);
}

TEST(DeclaredGradient, ReturnsATupleForSeveralInputs) {
  const auto f = Make(
      "def f(x, g):\n    return x * round(g)\n\n"
      "def f_grad(x, g, dy):\n    return dy * round(g), dy * x\n");

  const auto program = f->LowerBackward(DType::kFloat64, {"g", "x"});
  const auto values = Evaluate<double>(program->graph, {3.0, 1.6, 2.0}, {});
  EXPECT_THAT(values, ElementsAre(6.0, 4.0));
}

std::vector<std::string> NotesOf(const std::string& text,
                                 const Activation::Options& options = {}) {
  std::vector<Diagnostic> diagnostics;
  EXPECT_TRUE(Activation::Create(text, options, &diagnostics).ok());
  std::vector<std::string> notes;
  for (const Diagnostic& diagnostic : diagnostics) {
    EXPECT_EQ(diagnostic.severity, Diagnostic::Severity::kNote);
    notes.push_back(
        absl::StrCat(diagnostic.position.line, ": ", diagnostic.message));
  }
  return notes;
}

TEST(DeclaredGradient, ThatIsNotTheDerivativeIsANote) {
  EXPECT_THAT(NotesOf(kStraightThrough),
              ElementsAre(AllOf(
                  HasSubstr("4: the gradient with respect to 'x' is declared "
                            "and is not the derivative of ste: at x = "),
                  HasSubstr(" it is 1, the slope of the function is 0"))));
  EXPECT_THAT(NotesOf(kSpiky, {.derivative = "def d(x):\n    return 3\n"}),
              ElementsAre(HasSubstr("it is 3, the slope of the function is ")));
  EXPECT_THAT(NotesOf("def f(x):\n    return x * x\n\n"
                      "def f_grad(x, dy):\n    return 2 * x * dy\n"),
              ElementsAre());
}

TEST(DeclaredGradient, ThatIsUsedInsideIsANoteOfTheActivation) {
  EXPECT_THAT(NotesOf(std::string(kStraightThrough) +
                      "\ndef f(x):\n    return 2 * ste(x)\n"),
              ElementsAre(HasSubstr("is not the derivative of f: at x = ")));
  EXPECT_THAT(NotesOf("def f(x):\n    return relu(x) + 1\n"), ElementsAre());
}

TEST(DeclaredGradient, ThatIsNotLinearIsANote) {
  EXPECT_THAT(NotesOf("def f(x):\n    return x\n\n"
                      "def f_grad(x, dy):\n    return clamp(dy, -1, 1)\n"),
              ElementsAre("4: the gradient that f declares is not linear in "
                          "the upstream gradient, or reads rows: Backward uses "
                          "it; partials, tangents and other activations "
                          "cannot"));
}

TEST(DeclaredGradient, MayBeADerivativeText) {
  const auto spiky =
      Make(kSpiky, {.derivative = "def d_spiky(x):\n"
                                  "    return 1 if x % 1 <= 0.5 else 0.1\n"});

  EXPECT_EQ(
      At<float>(*spiky->LowerBackward(DType::kFloat32, {"x"}), {0.7f, 2.0f}),
      0.2f);
  EXPECT_NE(spiky->id(), Make(kSpiky)->id());
}

TEST(DeclaredGradient, RendersTheErrorsOfADerivativeText) {
  EXPECT_THAT(ErrorOf(kSpiky, {.derivative = "def d(x):\n    return y\n"}),
              HasSubstr("2:12"));
  EXPECT_THAT(ErrorOf("def f(x, g):\n    return x * g\n",
                      {.derivative = "def d(x):\n    return 1\n"}),
              HasSubstr("a derivative needs an activation of one input"));
}

// Lowering.

TEST(Activation, PrintsGradientAsText) {
  EXPECT_EQ(*Make(kSpiky)->GradientText("x"),
            "def d_spiky_d_x(x):\n"
            "    t0 = floormod1(x)\n"
            "    t1 = t0 <= 0.5\n"
            "    t2 = 1.0 if t1 else 0.0\n"
            "    return t2\n");
}

TEST(Activation, CanonicalTextParsesBackToTheSameText) {
  const auto f = Make("def silu(x):\n    return x * sigmoid(x)\n");
  const auto again = Make(f->CanonicalText());

  EXPECT_EQ(f->CanonicalText(),
            "def silu_(x):\n    t0 = silu(x)\n    return t0\n");
  EXPECT_EQ(again->CanonicalText().substr(10), f->CanonicalText().substr(10));
}

TEST(Activation, WarnsOfAGradientThatIsZeroEverywhere) {
  std::vector<Diagnostic> diagnostics;
  ASSERT_TRUE(
      Activation::Create("def f(x):\n    return round(x)\n", {}, &diagnostics)
          .ok());

  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_EQ(diagnostics[0].severity, Diagnostic::Severity::kWarning);
  EXPECT_THAT(diagnostics[0].message, HasSubstr("is 0 everywhere"));
  EXPECT_THAT(diagnostics[0].message, HasSubstr("def f_grad(x, dy)"));
}

// A gradient that is registered by itself already has a dy.
TEST(Activation, AdvisesAGradientOfAGradientWithTwoUpstreams) {
  std::vector<Diagnostic> diagnostics;
  const std::string text = "def f_grad(x, dy):\n    return dy\n";
  ASSERT_TRUE(Activation::Create(text, {}, &diagnostics).ok());

  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_THAT(diagnostics[0].message, HasSubstr("def f_grad_grad(x, dy, ddy)"));
  EXPECT_TRUE(Activation::Create(
                  text + "def f_grad_grad(x, dy, ddy):\n    return ddy, ddy\n",
                  {}, nullptr)
                  .ok());
}

TEST(Activation, NotesThatMaxSharesItsGradientAtATie) {
  std::vector<Diagnostic> diagnostics;
  ASSERT_TRUE(
      Activation::Create("def f(x):\n    return max(x, 0)\n", {}, &diagnostics)
          .ok());

  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_EQ(diagnostics[0].severity, Diagnostic::Severity::kNote);
  EXPECT_THAT(diagnostics[0].message, HasSubstr("half of the gradient"));
}

}  // namespace
}  // namespace actserve
