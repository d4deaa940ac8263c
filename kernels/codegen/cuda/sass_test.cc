// What NVRTC makes of the catalog: every program compiles, nothing spills,
// registers keep to their limit.
//
// All programs on both architectures take minutes. This test takes every
// sixth, at another offset on each architecture, so that every activation,
// direction and type is among them; with ACTSERVE_SASS_ALL (the test labelled
// `full`) it takes them all. scripts/check_sass does so for all architectures.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/codegen/cuda/testing/catalog_programs.h"
#include "kernels/codegen/cuda/testing/sass_checks.h"

namespace actserve {
namespace {

using ::actserve::testing::CatalogProgram;
using ::actserve::testing::CatalogPrograms;
using ::actserve::testing::CompileFacts;
using ::actserve::testing::CountInstructions;
using ::actserve::testing::Violation;

#ifdef ACTSERVE_SASS_ALL
constexpr int kStride = 1;
#else
constexpr int kStride = 6;
#endif

class WithNvrtc : public ::testing::Test {
 protected:
  void SetUp() override {
    auto nvrtc = Nvrtc::Open();
    if (!nvrtc.ok()) GTEST_SKIP() << nvrtc.status().message();
    nvrtc_ = *std::move(nvrtc);
  }

  std::unique_ptr<Nvrtc> nvrtc_;
};
class Sass : public WithNvrtc, public ::testing::WithParamInterface<int> {};
using SassForms = WithNvrtc;

TEST_P(Sass, NeverSpillsAndKeepsToItsRegisters) {
  const int architecture = GetParam();
  int count = architecture;
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    for (const CatalogProgram& test : CatalogPrograms(dtype)) {
      if (++count % kStride != 0) continue;
      SCOPED_TRACE(test.name());

      const auto facts = CompileFacts(*nvrtc_, test.program, architecture);

      ASSERT_TRUE(facts.ok()) << facts.status();
      EXPECT_EQ(Violation(test.program, *facts), "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, Sass, ::testing::Values(75, 90),
                         [](const auto& info) {
                           return "sm_" + std::to_string(info.param);
                         });

// NVRTC has two compilers inside, one for architectures before sm_100 and one
// from there on, and an intrinsic of the one may be unknown to the other: all
// float16 programs once failed on sm_100 and sm_120 alone.
TEST_F(SassForms, CompileInEveryTypeOnTheNewestArchitecture) {
  const int newest = nvrtc_->architectures().back();
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    for (const CatalogProgram& test : CatalogPrograms(dtype)) {
      if (test.activation != "prelu") continue;
      SCOPED_TRACE(test.name());

      const auto facts = CompileFacts(*nvrtc_, test.program, newest);

      ASSERT_TRUE(facts.ok()) << facts.status();
      EXPECT_EQ(Violation(test.program, *facts), "");
    }
  }
}

// Programs with tensors that broadcast, and the sums of their terms.
TEST_P(Sass, NeverSpillsWhereTensorsBroadcast) {
  struct Case {
    const char* text;
    std::vector<std::string> broadcasts;
  };
  for (const Case& test :
       {Case{"def prelu(x, slope=0.25):\n"
             "    return x if x > 0 else slope * x\n",
             {"slope"}},
        Case{"def affine(x, weight=1, bias=0, t=1):\n"
             "    return tanh(t * (weight * x + bias))\n",
             {"weight", "bias"}},
        Case{"def film(x, z, w, scale=1, shift=0):\n"
             "    return scale * sin(x * z) + shift * erf(w)\n",
             {"scale", "shift"}},
        Case{"def many(x, a, b=1, c=1, d=1, e=1, f=1, g=1, h=1):\n"
             "    return a * sin(b * x) + c * tanh(d * x) + e * exp(f * x) + g "
             "* h\n",
             {"a", "b", "c", "d", "e", "f", "g", "h"}},
        Case{"def norm(x, weight=1, bias=0):\n"
             "    c = x - rowmean(x)\n"
             "    return c / sqrt(rowmean(c * c) + 1e-5) * weight + bias\n",
             {"weight", "bias"}}}) {
    auto parsed = Activation::Create(test.text, {}, nullptr);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    auto activation = (*parsed)->WithBroadcasts(test.broadcasts);
    ASSERT_TRUE(activation.ok()) << activation.status();
    std::vector<std::string> wrt = test.broadcasts;
    wrt.insert(wrt.begin(), "x");
    for (const DType dtype : {DType::kFloat16, DType::kBFloat16,
                              DType::kFloat32, DType::kFloat64}) {
      for (const auto& program : {(*activation)->LowerForward(dtype, {}),
                                  (*activation)->LowerBackward(dtype, wrt)}) {
        SCOPED_TRACE(absl::StrCat(std::string(DTypeName(dtype)), ", ",
                                  program->graph.outputs[0].name, " of\n",
                                  test.text));

        const auto facts = CompileFacts(*nvrtc_, *program, GetParam());

        ASSERT_TRUE(facts.ok()) << facts.status();
        EXPECT_EQ(Violation(*program, *facts), "");
      }
    }
  }
}

// One program of every heavy form, which the catalog has not.
TEST_F(SassForms, HeavyProgramsCompile) {
  for (const int num_exps : {8, 40}) {
    LoweredProgram program;
    Graph& graph = program.graph;
    graph.inputs = {"x"};
    NodeId node = graph.Input(0);
    for (int i = 0; i < num_exps; ++i) {
      node =
          graph.Add(Op::kSub, graph.Add(Op::kExp, node), graph.Constant(i + 1));
    }
    graph.outputs = {{"y", node}};

    const auto facts = CompileFacts(*nvrtc_, program, 90);

    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(facts->at("actserve_run").stack_bytes, 0);
  }
}

// A copy is a load and a store of 16 bytes, each in two forms.
TEST_F(SassForms, CountsInstructionsOfAnElement) {
  LoweredProgram program;
  program.graph.inputs = {"x"};
  program.graph.outputs = {{"y", program.graph.Input(0)}};

  const auto count = CountInstructions(*nvrtc_, program, KernelEntry::kRun, 90);

  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_GE(count->ptx, 1);
  EXPECT_LE(count->ptx, 4);
  EXPECT_LE(count->sass, 4);
}

}  // namespace
}  // namespace actserve
