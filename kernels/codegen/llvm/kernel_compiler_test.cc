#include "kernels/codegen/llvm/kernel_compiler.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<KernelCompiler> MakeCompiler(const std::string& cpu = "") {
  auto compiler = KernelCompiler::Create({.cpu = cpu});
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  return *std::move(compiler);
}

LoweredProgram UnaryProgram(Op op, DType dtype = DType::kFloat32) {
  LoweredProgram program;
  program.storage = dtype;
  program.compute =
      dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  program.graph.inputs = {"x"};
  const NodeId y = program.graph.Add(op, program.graph.Input(0));
  program.graph.outputs = {{"y", y}};
  return program;
}

std::string Print(const KernelCompiler& compiler, const LoweredProgram& program,
                  KernelVariant variant = KernelVariant::kPlain) {
  auto text = compiler.Print(program, variant);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

TEST(KernelCompiler, StopsBetweenPasses) {
  const auto compiler = MakeCompiler();
  const absl::Status why = absl::CancelledError("nobody waits");
  int num_questions = 0;
  // The first question comes before the module is made.
  const StopToken stop(
      [&] { return ++num_questions == 1 ? absl::OkStatus() : why; });

  const auto object =
      compiler->Compile(UnaryProgram(Op::kExp), KernelVariant::kPlain, stop);

  EXPECT_EQ(object.status(), why);
  EXPECT_EQ(num_questions, 2);
}

TEST(KernelCompiler, TakesTheWidestVectors) {
  struct Case {
    const char* cpu;
    const char* vector;
  };
  // Of these, LLVM takes 512 bits unasked for znver4 only.
  for (const Case& test : {Case{"skylake-avx512", "<16 x float>"},
                           {"sapphirerapids", "<16 x float>"},
                           {"znver4", "<16 x float>"},
                           {"znver3", "<8 x float>"},
                           {"haswell", "<8 x float>"}}) {
    SCOPED_TRACE(test.cpu);
    const auto compiler = MakeCompiler(test.cpu);

    EXPECT_THAT(Print(*compiler, UnaryProgram(Op::kExp)),
                HasSubstr(test.vector));
  }
}

// The loop over elements inside of that over rows.
TEST(KernelCompiler, TakesTheWidestVectorsOfRows) {
  LoweredProgram program;
  program.graph.inputs = {"x", "sum"};
  program.num_compute_inputs = 1;
  program.num_row_inputs = 1;
  const NodeId y = program.graph.Add(Op::kDiv, program.graph.Input(0),
                                     program.graph.Input(1));
  program.graph.outputs = {{"y", y}};

  EXPECT_THAT(Print(*MakeCompiler("znver4"), program),
              HasSubstr("fdiv <16 x float>"));
}

TEST(KernelCompiler, MultipliesInsteadOfDividingByPowersOfTwo) {
  LoweredProgram program;
  program.graph.inputs = {"x", "max"};
  program.graph.parameters = {{"t", 1}};
  program.num_compute_inputs = 1;
  program.num_row_inputs = 1;
  const NodeId d = program.graph.Add(Op::kSub, program.graph.Input(0),
                                     program.graph.Input(1));
  const NodeId y =
      program.graph.Add(Op::kDiv, d, program.graph.ParameterNode(0));
  program.graph.outputs = {{"y", y}};

  const std::string text = Print(*MakeCompiler("znver4"), program);

  EXPECT_THAT(text, HasSubstr("fmul <16 x float>"));
  EXPECT_THAT(text, HasSubstr("fdiv <16 x float>"));
}

TEST(KernelCompiler, NarrowsTheArithmeticOfCheapProgramsWhere512BitsSlowDown) {
  struct Case {
    const char* cpu;
    Op op;
    DType dtype;
    bool narrow;
  };
  for (const Case& test :
       {Case{"sapphirerapids", Op::kFloorMod1, DType::kFloat32, true},
        {"sapphirerapids", Op::kFloorMod1, DType::kFloat64, true},
        {"skylake-avx512", Op::kFloor, DType::kFloat32, true},
        // No arithmetic; too much of it; of a slow kind; 16-bit results.
        {"sapphirerapids", Op::kAbs, DType::kFloat32, false},
        {"sapphirerapids", Op::kExp, DType::kFloat32, false},
        {"sapphirerapids", Op::kSqrt, DType::kFloat32, false},
        {"sapphirerapids", Op::kFloor, DType::kBFloat16, false},
        // Processors that keep their clock, or have no 512 bits.
        {"znver4", Op::kFloorMod1, DType::kFloat32, false},
        {"haswell", Op::kFloorMod1, DType::kFloat32, false}}) {
    SCOPED_TRACE(absl::StrCat(test.cpu, " ", std::string(Info(test.op).name)));
    const auto compiler = MakeCompiler(test.cpu);
    const LoweredProgram program = UnaryProgram(test.op, test.dtype);

    // What keeps two halves apart.
    const bool plain =
        absl::StrContains(Print(*compiler, program), "llvm.arithmetic.fence");
    const bool non_temporal = absl::StrContains(
        Print(*compiler, program, KernelVariant::kNonTemporal),
        "llvm.arithmetic.fence");

    EXPECT_EQ(plain, test.narrow);
    EXPECT_FALSE(non_temporal);
  }
}

TEST(KernelCompiler, LoadsNothingBothInHalvesAndWhole) {
  const auto compiler = MakeCompiler("sapphirerapids");
  LoweredProgram program;
  program.graph.inputs = {"x"};
  Graph& graph = program.graph;
  const NodeId x = graph.Input(0);
  const NodeId positive = graph.Add(Op::kLess, graph.Constant(0), x);
  const NodeId tenth = graph.Add(Op::kMul, x, graph.Constant(0.1));
  graph.outputs = {{"y", graph.Add(Op::kSelect, positive, x, tenth)}};

  EXPECT_THAT(Print(*compiler, program), HasSubstr("fmul <16 x float>"));
}

TEST(KernelCompiler, InlinesTheMathAndLeavesNothingElseOfIt) {
  const auto compiler = MakeCompiler();
  for (DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    const std::string text = Print(*compiler, UnaryProgram(Op::kSilu, dtype));

    EXPECT_THAT(text, Not(HasSubstr("actserve_silu")));
    EXPECT_THAT(text, Not(HasSubstr("actserve_gelu")));
    EXPECT_THAT(text, Not(HasSubstr("_bits_")));
  }
}

TEST(KernelCompiler, NeverContractsOrRelaxes) {
  const auto compiler = MakeCompiler();
  LoweredProgram program;
  program.graph.inputs = {"x", "y"};
  Graph& graph = program.graph;
  const NodeId x = graph.Input(0);
  graph.outputs = {
      {"z", graph.Add(Op::kAdd, graph.Add(Op::kMul, x, x), graph.Input(1))}};

  const std::string text = Print(*compiler, program);

  EXPECT_THAT(text, HasSubstr("fmul <"));
  EXPECT_THAT(text, HasSubstr("fadd <"));
  for (const char* flag :
       {"llvm.fma", "fast <", "contract", "nnan", "reassoc"}) {
    EXPECT_THAT(text, Not(HasSubstr(flag)));
  }
}

TEST(KernelCompiler, WritesPastTheCachesOnlyWhenAsked) {
  const auto compiler = MakeCompiler();
  const LoweredProgram program = UnaryProgram(Op::kAbs);

  EXPECT_THAT(Print(*compiler, program), Not(HasSubstr("!nontemporal")));
  EXPECT_THAT(Print(*compiler, program, KernelVariant::kNonTemporal),
              HasSubstr("!nontemporal"));
}

TEST(KernelCompiler, RefusesAProcessorWithoutFma) {
  EXPECT_EQ(KernelCompiler::Create({.cpu = "x86-64-v2"}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(KernelCompiler, SaysWhichFunctionIsMissing) {
  LoweredProgram program;
  program.graph.inputs = {"x"};
  const NodeId x = program.graph.Input(0);
  // No lowered program has it.
  program.graph.outputs = {{"y", program.graph.Add(Op::kDeclared, x, x, x)}};

  const auto object = MakeCompiler()->Compile(program, KernelVariant::kPlain);

  EXPECT_EQ(object.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(object.status().message()),
              HasSubstr("actserve_declared_f32"));
}

TEST(KernelCompiler, GivesTheSameObjectOnEveryThread) {
  const auto compiler = MakeCompiler();
  const LoweredProgram program = UnaryProgram(Op::kTanh);
  const std::string want = *compiler->Compile(program, KernelVariant::kPlain);
  std::vector<std::thread> threads;

  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(*compiler->Compile(program, KernelVariant::kPlain), want);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(KernelCompiler, NamesWhatTheCodeDependsOn) {
  const auto one = MakeCompiler("znver4");
  const auto same = MakeCompiler("znver4");
  const auto other = MakeCompiler("skylake-avx512");

  EXPECT_EQ(one->fingerprint(), same->fingerprint());
  EXPECT_NE(one->fingerprint(), other->fingerprint());
  EXPECT_EQ(one->cpu(), "znver4");
  EXPECT_TRUE(one->has_avx512());
}

}  // namespace
}  // namespace actserve
