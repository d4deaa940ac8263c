// How long the heaviest programs take that the language's limits let through.
// Generating code inside the process cannot be stopped, so the weights of the
// op table are what bounds it: about 5 s of one core.

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "kernels/codegen/llvm/kernel_compiler.h"
#include "kernels/lang/limits.h"

namespace actserve {
namespace {

double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// op(k * op(k' * op(...))), as long as the weight allows.
Graph HeaviestGraph(Op op, int64_t weight) {
  Graph graph;
  graph.inputs = {"x"};
  NodeId y = graph.Input(0);
  const OpInfo& info = Info(op);
  for (int64_t total = 0; total + info.weight + 1 <= weight;
       total += info.weight + 1) {
    const NodeId k = graph.Constant(1 + 1e-3 * total);
    y = graph.Add(Op::kMul, y, k);
    y = info.arity == 1 ? graph.Add(op, y) : graph.Add(op, y, k);
  }
  graph.outputs = {{"y", y}};
  return graph;
}

TEST(CompileTime, OfTheHeaviestProgramsIsBounded) {
  const auto compiler = KernelCompiler::Create({});
  ASSERT_TRUE(compiler.ok()) << compiler.status();
  const LanguageLimits limits;
  double slowest = 0;
  // The slowest for their weight of all ops.
  for (Op op : {Op::kAdd, Op::kSign, Op::kExp, Op::kLog1p, Op::kErf}) {
    for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
      for (int64_t weight : {limits.interleaved_weight, limits.weight}) {
        LoweredProgram program;
        program.storage = program.compute = dtype;
        program.interleave = weight <= limits.interleaved_weight;
        program.graph = HeaviestGraph(op, weight);
        const double start = ThreadSeconds();

        const auto object =
            (*compiler)->Compile(program, KernelVariant::kPlain);

        const double seconds = ThreadSeconds() - start;
        ASSERT_TRUE(object.ok()) << object.status();
        std::printf("%-6s %s, weight %5d: %.2f s\n",
                    std::string(Info(op).name).c_str(),
                    std::string(DTypeName(dtype)).c_str(),
                    static_cast<int>(program.graph.Weight()), seconds);
        slowest = std::max(slowest, seconds);
      }
    }
  }
  // Generous: a loaded or slow machine is no failure of the limits.
  EXPECT_LT(slowest, 30) << "lower the limits of limits.h or raise weights";
}

}  // namespace
}  // namespace actserve
