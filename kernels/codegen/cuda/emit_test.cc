#include "kernels/codegen/cuda/emit.h"

#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/codegen/cuda/testing/catalog_programs.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LoweredProgram Forward(const std::string& text, DType dtype = DType::kFloat32) {
  auto activation = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  auto program = (*activation)->LowerForward(dtype, {});
  EXPECT_TRUE(program.ok()) << program.status();
  return *program;
}

std::string Emit(const LoweredProgram& program) {
  return EmitCuda(program, CudaPart::kProgram);
}

TEST(EmitCuda, HasNoWordOfTheUser) {
  const std::string text =
      Emit(Forward("def marker_f(marker_x, marker_a=2):\n"
                   "    'marker_doc'\n"
                   "    marker_y = marker_x * marker_a  # marker_comment\n"
                   "    return marker_y\n"));

  EXPECT_THAT(text, Not(HasSubstr("marker")));
}

TEST(EmitCuda, DependsOnNoName) {
  EXPECT_EQ(Emit(Forward("def f(x, a=2):\n    return x * a + 1\n")),
            Emit(Forward("def g(u, b=3):\n    return u * b + 1\n")));
}

TEST(EmitCuda, IsTheSameEveryTime) {
  for (const auto& test : testing::CatalogPrograms(DType::kBFloat16)) {
    EXPECT_EQ(Emit(test.program), Emit(test.program)) << test.name();
  }
}

TEST(EmitCuda, NeedsNoHeaderAndNoAssembler) {
  for (const DType dtype : {DType::kFloat16, DType::kFloat64}) {
    for (const auto& test : testing::CatalogPrograms(dtype)) {
      for (const CudaPart part : LaunchLayout(test.program).parts()) {
        const std::string text = EmitCuda(test.program, part);

        EXPECT_THAT(text, Not(HasSubstr("#include"))) << test.name();
        EXPECT_THAT(text, Not(HasSubstr("asm"))) << test.name();
        EXPECT_THAT(text, Not(HasSubstr("//"))) << test.name();
      }
    }
  }
}

TEST(EmitCuda, PrintsConstantsAsBits) {
  struct Case {
    const char* name;
    double value;
    const char* float_bits;
    const char* double_bits;
  };
  const double kInfinity = std::numeric_limits<double>::infinity();
  for (const Case& test :
       {Case{"a tenth", 0.1, "0x3dcccccdu", "0x3fb999999999999aull"},
        Case{"-0", -0.0, "0x80000000u", "0x8000000000000000ull"},
        Case{"-inf", -kInfinity, "0xff800000u", "0xfff0000000000000ull"},
        Case{"subnormal", 5e-324, "0x00000000u", "0x0000000000000001ull"}}) {
    SCOPED_TRACE(test.name);
    LoweredProgram program;
    Graph& graph = program.graph;
    graph.inputs = {"x"};
    graph.outputs = {
        {"y", graph.Add(Op::kMul, graph.Input(0), graph.Constant(test.value))}};

    EXPECT_THAT(Emit(program),
                HasSubstr(std::string("__builtin_bit_cast(float, ") +
                          test.float_bits + ");"));
    program.storage = program.compute = DType::kFloat64;
    EXPECT_THAT(Emit(program),
                HasSubstr(std::string("__builtin_bit_cast(double, ") +
                          test.double_bits + ");"));
  }
}

TEST(EmitCuda, BringsOnlyTheMathThatIsUsed) {
  const std::string relu =
      Emit(Forward(std::string(FindInCatalog("relu")->text), DType::kFloat32));
  const std::string tanh =
      Emit(Forward(std::string(FindInCatalog("tanh")->text), DType::kFloat32));

  EXPECT_THAT(relu, Not(HasSubstr("actserve_exp_f32")));
  EXPECT_THAT(tanh, HasSubstr("actserve_tanh_f32"));
  EXPECT_THAT(tanh, Not(HasSubstr("actserve_tanh_f64")));
}

TEST(EmitCuda, LooksUpWithOneTextForAllOfAShape) {
  const LoweredProgram gelu =
      Forward(std::string(FindInCatalog("gelu")->text), DType::kBFloat16);
  const LoweredProgram tanh =
      Forward(std::string(FindInCatalog("tanh")->text), DType::kBFloat16);
  const LoweredProgram other_type =
      Forward(std::string(FindInCatalog("tanh")->text), DType::kFloat16);

  for (const CudaPart part : {CudaPart::kLookUp, CudaPart::kSharedLookUp}) {
    EXPECT_EQ(EmitCuda(gelu, part), EmitCuda(tanh, part));
    EXPECT_NE(EmitCuda(tanh, part), EmitCuda(other_type, part));
  }
  EXPECT_NE(Emit(gelu), Emit(tanh));
}

TEST(EmitCuda, SumsTermsWithOneTextForAllOfATypeOfTerms) {
  const auto lower = [](const char* text, DType dtype) {
    const auto activation = Activation::Create(text, {}, nullptr);
    const auto broadcasting = (*activation)->WithBroadcasts({"a"});
    return *(*broadcasting)->LowerBackward(dtype, {"a"});
  };
  constexpr char kProduct[] = "def f(x, a=1): return a * x";
  const std::string text =
      EmitCuda(lower(kProduct, DType::kBFloat16), CudaPart::kTermSums);

  EXPECT_THAT(text, HasSubstr("actserve_sum_rows("));
  EXPECT_EQ(text, EmitCuda(lower("def f(x, a=1): return exp(a * rowsum(x))",
                                 DType::kFloat32),
                           CudaPart::kTermSums));
  EXPECT_NE(text,
            EmitCuda(lower(kProduct, DType::kFloat64), CudaPart::kTermSums));
}

TEST(EmitCuda, HasEachEntryInOnePart) {
  for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    for (const auto& test : testing::CatalogPrograms(dtype)) {
      SCOPED_TRACE(test.name());
      const LaunchLayout layout(test.program);
      for (const KernelEntry entry : kKernelEntries) {
        for (const CudaPart part : layout.parts()) {
          const bool has = absl::StrContains(
              EmitCuda(test.program, part),
              absl::StrCat("\n", KernelEntryName(entry), "("));
          EXPECT_EQ(has, layout.has_entry(entry) && layout.part(entry) == part);
        }
      }
    }
  }
}

TEST(EmitCuda, FingerprintIsADigest) {
  EXPECT_EQ(CudaTextFingerprint().size(), 7 + 64);
}

}  // namespace
}  // namespace actserve
