// The generated text, run as C++, against the interpreter, bit for bit: single
// operations, random texts, and every form that a kernel may take.

#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/codegen/cuda/testing/host_shim.h"
#include "kernels/codegen/cuda/testing/shim_runs.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/reference.h"
#include "kernels/graph/summation.h"
#include "kernels/graph/testing/random_program.h"

namespace actserve {
namespace {

using ::actserve::testing::Difference;
using ::actserve::testing::HostModule;
using ::actserve::testing::MakeProgram;
using ::actserve::testing::OpGraph;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnShim;
using ::actserve::testing::RunReference;
using ::actserve::testing::ShimOptions;
using ::actserve::testing::ShimRequest;

constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                             DType::kFloat64};

struct Case {
  std::string name;
  LoweredProgram program;
};

std::unique_ptr<HostModule> CompileAll(const std::vector<Case>& cases) {
  std::vector<LoweredProgram> programs;
  for (const Case& test : cases) programs.push_back(test.program);
  auto module = HostModule::Compile(programs);
  EXPECT_TRUE(module.ok()) << module.status();
  return module.ok() ? *std::move(module) : nullptr;
}

ShimRequest MakeRequest(const LoweredProgram& program, int64_t num_elements,
                        uint32_t seed) {
  ShimRequest request;
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    request.inputs.push_back(
        RandomTensor(program.storage, num_elements, seed * 8 + i));
  }
  for (const Parameter& parameter : program.graph.parameters) {
    request.parameters.push_back(parameter.default_value + seed % 3);
  }
  // Some elements are on each side of a place of 32 bits.
  request.element_offset = (int64_t{1} << 32) - 200 * seed;
  return request;
}

// Each case with requests of these sizes in one launch.
void ExpectSameBits(const std::vector<Case>& cases,
                    const std::vector<int64_t>& sizes,
                    const ShimOptions& options = {}) {
  const auto module = CompileAll(cases);
  ASSERT_NE(module, nullptr);
  for (size_t c = 0; c < cases.size(); ++c) {
    SCOPED_TRACE(cases[c].name);
    const LoweredProgram& program = cases[c].program;
    std::vector<ShimRequest> requests;
    for (const int64_t num_elements : sizes) {
      requests.push_back(
          MakeRequest(program, num_elements, 1 + requests.size()));
    }

    const std::vector<Results> got =
        RunOnShim(*module, static_cast<int>(c), program, requests, options);

    for (size_t r = 0; r < requests.size(); ++r) {
      const Results want =
          RunReference(program, requests[r].inputs, requests[r].parameters, {},
                       {}, requests[r].element_offset);
      EXPECT_EQ(Difference(program, got[r], want), "")
          << sizes[r] << " elements";
    }
  }
}

TEST(HostPrograms, EveryOpEqualsTheInterpreter) {
  std::vector<Case> cases;
  for (const OpInfo& info : AllOps()) {
    if (info.arity == 0 || info.op == Op::kDeclared || info.reads_row) continue;
    for (const DType dtype : kDTypes) {
      const std::string name(info.name);
      cases.push_back({absl::StrCat(name, " ", std::string(DTypeName(dtype))),
                       MakeProgram(name, OpGraph(info.op), dtype)});
    }
  }

  ExpectSameBits(cases, {3001});
}

TEST(HostPrograms, RandomTextsEqualTheInterpreter) {
  std::vector<Case> cases;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const int num_inputs = 1 + static_cast<int>(seed % 4);
    const int num_parameters = static_cast<int>(seed % 3);
    const std::string text = testing::RandomProgram(
        seed, {.num_inputs = num_inputs, .num_parameters = num_parameters});
    auto activation = Activation::Create(text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    std::vector<std::string> all = (*activation)->inputs();
    for (const Parameter& parameter : (*activation)->parameters()) {
      all.push_back(parameter.name);
    }
    const DType dtype = kDTypes[seed / 4 % 4];
    const auto forward = (*activation)->LowerForward(dtype, {});
    const auto backward = (*activation)->LowerBackward(dtype, all);
    ASSERT_TRUE(forward.ok() && backward.ok());
    cases.push_back({absl::StrCat("forward of\n", text), *forward});
    cases.push_back({absl::StrCat("backward of\n", text), *backward});
  }

  ExpectSameBits(cases, {700, 0, 1, 5000}, {.misalignment = 3});
}

// Values, partials, gradients of inputs and sums of those of parameters.
TEST(HostPrograms, DrawsEqualTheInterpreter) {
  std::vector<Case> cases;
  for (const std::string_view text : testing::kDrawTexts) {
    auto activation = Activation::Create(text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    const std::vector<std::string>& inputs = (*activation)->inputs();
    std::vector<std::string> all = inputs;
    for (const Parameter& parameter : (*activation)->parameters()) {
      all.push_back(parameter.name);
    }
    for (const DType dtype : kDTypes) {
      for (const auto& program : {(*activation)->LowerForward(dtype, inputs),
                                  (*activation)->LowerBackward(dtype, inputs),
                                  (*activation)->LowerBackward(dtype, all)}) {
        ASSERT_TRUE(program.ok()) << program.status();
        cases.push_back({std::string(text), *program});
      }
    }
  }

  ExpectSameBits(cases, {700, 0, 1, 9001});
  ExpectSameBits(cases, {5000, 3}, {.misalignment = 3});
}

// y = f(f(...f(x + a) + b)), `num_exps` deep; summed too if `sums`.
LoweredProgram Chain(int num_exps, DType storage, int num_inputs, int sums) {
  LoweredProgram program;
  program.storage = storage;
  program.compute =
      storage == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  Graph& graph = program.graph;
  graph.inputs.resize(num_inputs);
  graph.parameters.resize(2);
  NodeId node = graph.Add(Op::kAdd, graph.Input(0), graph.ParameterNode(0));
  for (int i = 1; i < num_inputs; ++i) {
    node = graph.Add(Op::kSub, node, graph.Input(i));
  }
  for (int i = 0; i < num_exps; ++i) {
    node = graph.Add(Op::kSub, graph.Add(Op::kExpm1, node),
                     graph.ParameterNode(1));
  }
  graph.outputs = {{"y", node}};
  for (int s = 0; s < sums; ++s) {
    const NodeId term = graph.Add(Op::kMul, node, graph.Constant(s + 0.5));
    // Between the tensors, since outputs come in any order.
    graph.outputs.insert(graph.outputs.begin(), {"s", term, true});
  }
  return program;
}

TEST(HostPrograms, EveryFormOfAKernelEqualsTheInterpreter) {
  struct Form {
    const char* name;
    int num_exps;
    int sums;
    LaunchLayout::Body body;
  };
  std::vector<Case> cases;
  for (const Form& form :
       {Form{"unrolled", 1, 0, LaunchLayout::Body::kUnrolled},
        {"vector", 7, 0, LaunchLayout::Body::kVector},
        {"scalar", 33, 0, LaunchLayout::Body::kScalar},
        {"summed", 1, 1, LaunchLayout::Body::kSummed},
        {"many sums", 1, 7, LaunchLayout::Body::kSummed},
        {"heavy sums", 7, 2, LaunchLayout::Body::kSummed}}) {
    for (const auto& [storage, num_inputs] :
         {std::pair(DType::kFloat16, 2), std::pair(DType::kFloat32, 1),
          std::pair(DType::kFloat32, 5), std::pair(DType::kFloat64, 3)}) {
      const LoweredProgram program =
          Chain(form.num_exps, storage, num_inputs, form.sums);
      ASSERT_EQ(LaunchLayout(program).body(), form.body) << form.name;
      cases.push_back({absl::StrCat(form.name, ", ", num_inputs, " inputs, ",
                                    std::string(DTypeName(storage))),
                       program});
    }
  }

  ExpectSameBits(cases, {4095, 0, 1, 4097, 9000});
}

// Tile sums of any number, finished in one launch.
TEST(HostPrograms, FinishesSumsAlongTheTree) {
  const LoweredProgram program = Chain(1, DType::kFloat32, 1, 2);
  const auto module = CompileAll({{"sums", program}});
  ASSERT_NE(module, nullptr);
  const LaunchLayout layout(program);
  const std::vector<int64_t> tiles = {0,  1,   2,   3,   15,   16,   17,
                                      31, 255, 256, 257, 4096, 4097, 70001};
  std::mt19937 random(1);
  std::normal_distribution<double> numbers;
  std::vector<std::vector<double>> tile_sums;
  std::vector<double> want;
  std::vector<double> got(2 * tiles.size(), -1);
  std::vector<LaunchSegment> segments;
  for (const int64_t num_tiles : tiles) {
    std::vector<double>& sums = tile_sums.emplace_back(2 * num_tiles);
    for (double& sum : sums) sum = std::exp(9 * numbers(random));
    for (int s = 0; s < 2; ++s) {
      std::vector<double> half(sums.begin() + s * num_tiles,
                               sums.begin() + (s + 1) * num_tiles);
      want.push_back(SumTiles(absl::MakeSpan(half)));
    }
  }
  for (size_t t = 0; t < tiles.size(); ++t) {
    LaunchSegment& segment = segments.emplace_back();
    segment.num_elements = tiles[t] * kSumTileElements;
    segment.inputs = {0};
    segment.outputs = {0};
    segment.tile_sums = reinterpret_cast<DeviceAddress>(tile_sums[t].data());
    segment.sums = reinterpret_cast<DeviceAddress>(&got[2 * t]);
    segment.parameters = {0, 0};
  }

  auto launch = PackLaunch(layout, KernelEntry::kFinishSums, segments, {});
  ASSERT_TRUE(launch.ok()) << launch.status();
  launch->SetSegmentTable(
      reinterpret_cast<DeviceAddress>(launch->segment_table.data()));
  module->Launch(0, KernelEntry::kFinishSums, *launch);

  EXPECT_EQ(got, want);
}

}  // namespace
}  // namespace actserve
