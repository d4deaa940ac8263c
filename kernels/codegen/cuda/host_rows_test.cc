// The generated text of programs that read rows, run as C++, against the
// interpreter, bit for bit: every entry, on rows that end where threads, tiles
// and entries do.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/codegen/cuda/testing/host_shim.h"
#include "kernels/codegen/cuda/testing/shim_runs.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using ::actserve::testing::Difference;
using ::actserve::testing::HostModule;
using ::actserve::testing::OrdinaryTensor;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnShim;
using ::actserve::testing::RunReference;
using ::actserve::testing::ShimRequest;

// Between them every row op, as an operand of others too.
const char* const kTexts[] = {
    "def softmax_t(x, t=0.7):\n"
    "    e = exp((x - rowmax(x)) / t)\n"
    "    return e / rowsum(e)\n",
    "def standardize_e(x, t=0.01):\n"
    "    m = rowmean(x)\n"
    "    return (x - m) / sqrt(rowmean((x - m) ** 2) + t)\n",
    "def sorted_sums(x, t=0.6):\n"
    "    z = rowsort(x, x)\n"
    "    c = rowscan(1.0, z)\n"
    "    k = rowsum(1.0 if z * (rowindex(x) + 1) + t > c else 0.0)\n"
    "    return max(x - rowsum(z if rowindex(x) < k else 0.0) / k, 0.0)\n",
    "def places(x, t=0.5):\n"
    "    z = rowsort(x, rowindex(x))\n"
    "    return rowunsort(x, exp(z / rowsize(x))) * t + rowshift(z) * z\n",
    "def recurrent(x, t=0.5):\n"
    "    e = rowscan(rowshift(x), 1.0 if rowindex(x) == 0 else 0.0)\n"
    "    return e * rowscanback(t, rowmax(x)) - rowshiftback(x * e)\n",
    // Random numbers that are summed, sorted and multiplied, and an index.
    "def noisy(x, t=0.5, seed=9007199254740985):\n"
    "    u = uniform(seed, 2)\n"
    "    kept = exp(t * (x - rowmax(x)) + normal(5)) if u < t else 0.0\n"
    "    moved = rowsort(u, x * t) + rowshift(normal(5)) * rowindex(x)\n"
    "    return kept / (rowsum(kept) + rowmean(u)) + moved\n",
    // Heavy: no entries for short rows.
    "def gated(x, g, t=1.5):\n"
    "    s = rowsum(tanh(t * g) + sin(x) * erf(g) + atan(x * t))\n"
    "    return x * sigmoid(g) / (1 + s * s) + rowmin(x) if x > t else s\n",
};

struct Case {
  std::string name;
  LoweredProgram program;
};

// Forward, and the gradients of all inputs and of t.
std::vector<Case> Cases(DType dtype) {
  std::vector<Case> cases;
  for (const char* text : kTexts) {
    const auto activation = Activation::Create(text, {}, nullptr);
    EXPECT_TRUE(activation.ok()) << activation.status();
    std::vector<std::string> wrt = (*activation)->inputs();
    wrt.push_back("t");
    const auto forward = (*activation)->LowerForward(dtype, {});
    const auto backward = (*activation)->LowerBackward(dtype, wrt);
    EXPECT_TRUE(forward.ok() && backward.ok());
    cases.push_back({absl::StrCat("forward of\n", text), *forward});
    cases.push_back({absl::StrCat("backward of\n", text), *backward});
  }
  return cases;
}

// Of numbers of all kinds where the seed is a multiple of 4.
ShimRequest MakeRequest(const LoweredProgram& program, const Rows& rows,
                        int64_t num_elements, uint32_t seed) {
  const auto make = seed % 4 == 0 ? &RandomTensor : &OrdinaryTensor;
  ShimRequest request;
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    request.inputs.push_back(make(program.storage, num_elements, seed * 8 + i));
  }
  request.parameters.assign(program.graph.parameters.size(),
                            0.5 + 0.25 * (seed % 3));
  for (size_t p = 0; p < request.parameters.size(); ++p) {
    const Parameter& parameter = program.graph.parameters[p];
    if (parameter.name != "seed") continue;
    request.parameters[p] = parameter.default_value - seed;
    request.element_offset = (int64_t{1} << 33) - 11 * seed;
  }
  request.rows = rows;
  return request;
}

class HostRows : public ::testing::TestWithParam<DType> {};

TEST_P(HostRows, EqualTheInterpreter) {
  struct Shape {
    int64_t size, stride, blocks;
  };
  constexpr Shape kShapes[] = {
      {1, 1, 3},     {2, 1, 300},  {7, 1, 91},    {64, 1, 9},    {128, 1, 17},
      {129, 1, 5},   {1000, 1, 3}, {1024, 1, 5},  {1025, 1, 2},  {4096, 1, 2},
      {4097, 1, 1},  {9000, 1, 2}, {16384, 1, 1}, {16385, 1, 2}, {40000, 1, 1},
      {3, 5, 4},     {40, 130, 2}, {300, 17, 2},  {5000, 3, 1},  {12289, 2, 1},
      {20000, 3, 1}, {5, 1, 0}};
  const std::vector<Case> cases = Cases(GetParam());
  std::vector<LoweredProgram> programs;
  for (const Case& test : cases) programs.push_back(test.program);
  const auto module = HostModule::Compile(programs);
  ASSERT_TRUE(module.ok()) << module.status();
  for (size_t c = 0; c < cases.size(); ++c) {
    SCOPED_TRACE(cases[c].name);
    const LoweredProgram& program = cases[c].program;
    std::vector<ShimRequest> requests;
    for (const Shape& shape : kShapes) {
      requests.push_back(MakeRequest(
          program, {.size = shape.size, .stride = shape.stride},
          shape.size * shape.stride * shape.blocks, 1 + requests.size()));
    }

    // All at once, and one alone, which has its words in the argument.
    std::vector<Results> got =
        RunOnShim(**module, static_cast<int>(c), program, requests, {});
    requests.push_back(requests[5]);
    got.push_back(RunOnShim(**module, static_cast<int>(c), program,
                            {requests.back()}, {.misalignment = 1})[0]);

    for (size_t r = 0; r < requests.size(); ++r) {
      const ShimRequest& request = requests[r];
      EXPECT_EQ(
          Difference(program, got[r],
                     RunReference(program, request.inputs, request.parameters,
                                  request.rows, {}, request.element_offset)),
          "")
          << "rows of " << request.rows.size << ", " << request.rows.stride
          << " apart";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, HostRows,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

// A row of more tiles than threads finish at once, and of zeros of both signs.
TEST(HostRows, OfManyTilesEqualTheInterpreter) {
  const std::vector<Case> cases = Cases(DType::kFloat32);
  const LoweredProgram& softmax = cases[0].program;
  const auto module = HostModule::Compile({softmax});
  ASSERT_TRUE(module.ok()) << module.status();
  const int64_t size = 600 * kSumTileElements + 77;
  const ShimRequest request = MakeRequest(softmax, {.size = size}, size, 1);

  const auto got = RunOnShim(**module, 0, softmax, {request}, {});

  EXPECT_EQ(Difference(softmax, got[0],
                       RunReference(softmax, request.inputs, request.parameters,
                                    request.rows)),
            "");
}

}  // namespace
}  // namespace actserve
