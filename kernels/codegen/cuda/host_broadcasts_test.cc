// The generated text of programs with tensors that broadcast, run as C++,
// against the interpreter, bit for bit: every cut of a shape, and every step of
// a sum.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/codegen/cuda/testing/host_shim.h"
#include "kernels/codegen/cuda/testing/shim_runs.h"
#include "kernels/device/testing/reference.h"
#include "kernels/graph/broadcast.h"

namespace actserve {
namespace {

using Dimension = Broadcast::Dimension;
using ::actserve::testing::BroadcastTensor;
using ::actserve::testing::Difference;
using ::actserve::testing::HostModule;
using ::actserve::testing::MakeBroadcasting;
using ::actserve::testing::OrdinaryTensor;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnShim;
using ::actserve::testing::RunReference;
using ::actserve::testing::ShimRequest;

constexpr char kAffine[] =
    "def affine(x, bias, slope=0.25, scale=3):\n"
    "    z = x + bias\n"
    "    return scale * (z if z > 0 else slope * z)\n";
// One element at a time, and with random numbers.
constexpr char kNoisy[] =
    "def noisy(x, bias, slope=0.25, scale=3):\n"
    "    return x * slope * normal(5) + scale * bias\n";

// Runs of one, some, and more elements than a vector or a tile has; few and
// many columns; levels outside of them; nothing that repeats; groups and tiles
// whose tree has several levels.
const std::vector<std::vector<Dimension>>& Shapes() {
  static const auto* const shapes = new std::vector<std::vector<Dimension>>{
      {{1, false}},
      {{700, false}},
      {{700, true}},
      {{1, true}},
      {{70001, true}},
      {{300, true}, {3, false}},
      {{3, false}, {300, true}},
      {{7, true}, {5000, false}},
      {{130, true}, {50, false}},
      {{2, true}, {3, false}, {5000, true}},
      {{70, true}, {5, false}, {9, true}},
      {{3, true}, {40, false}, {64, true}},
      {{3, true}, {2, false}, {4097, true}, {2, false}, {3, true}},
      {{2, false}, {130, true}, {3, false}},
      {{5, true}, {2, false}, {67, true}, {30, false}},
      {{3, false}, {2, true}, {2, false}, {5, true}, {40, false}, {7, true}},
      {{9000, true}, {2, false}},
      {{0, true}, {3, false}},
      {{3, false}, {0, true}},
  };
  return *shapes;
}

class HostBroadcasts : public ::testing::TestWithParam<DType> {};

TEST_P(HostBroadcasts, EqualTheInterpreter) {
  const DType dtype = GetParam();
  std::vector<LoweredProgram> programs;
  for (const char* text : {kAffine, kNoisy}) {
    const auto activation = MakeBroadcasting(text, {"slope", "bias"});
    const auto forward = activation->LowerForward(dtype, {"x"});
    const auto backward =
        activation->LowerBackward(dtype, {"x", "bias", "slope", "scale"});
    ASSERT_TRUE(forward.ok() && backward.ok());
    programs.push_back(*forward);
    programs.push_back(*backward);
  }
  const auto module = HostModule::Compile(programs);
  ASSERT_TRUE(module.ok()) << module.status();
  for (size_t p = 0; p < programs.size(); ++p) {
    const LoweredProgram& program = programs[p];
    // A sum with a NaN hides all others.
    const auto make =
        program.graph.outputs[0].name == "y" ? &RandomTensor : &OrdinaryTensor;
    std::vector<ShimRequest> requests;
    uint32_t seed = 1;
    for (const auto& dimensions : Shapes()) {
      const Broadcast shape(dimensions);
      const int64_t num_elements = shape.num_read();
      const Dimension all = {num_elements, true};
      ShimRequest& request = requests.emplace_back();
      for (int i = 0; i < program.num_tensor_inputs(); ++i) {
        request.inputs.push_back(make(dtype, num_elements, ++seed));
      }
      request.broadcasts = {
          {make(dtype, 1, ++seed), Broadcast(absl::MakeConstSpan(&all, 1))},
          {make(dtype, shape.num_elements(), ++seed), shape}};
      request.parameters = {-1, 0.75};
    }

    for (const int misalignment : {0, 1}) {
      const std::vector<Results> got =
          RunOnShim(**module, static_cast<int>(p), program, requests,
                    {.misalignment = misalignment});

      for (size_t r = 0; r < requests.size(); ++r) {
        const ShimRequest& request = requests[r];
        EXPECT_EQ(
            Difference(program, got[r],
                       RunReference(program, request.inputs, request.parameters,
                                    {}, request.broadcasts)),
            "")
            << "program " << p << ", shape " << r;
      }
    }
  }
}

TEST_P(HostBroadcasts, OfRowsEqualTheInterpreter) {
  const DType dtype = GetParam();
  const auto activation = MakeBroadcasting(
      "def norm(x, weight=1, bias=0, t=2):\n"
      "    c = x - rowmean(x)\n"
      "    return t * c / sqrt(rowmean(c * c) + 1e-5) * weight + bias\n",
      {"weight", "bias"});
  const auto forward = activation->LowerForward(dtype, {});
  const auto backward =
      activation->LowerBackward(dtype, {"x", "weight", "bias", "t"});
  ASSERT_TRUE(forward.ok() && backward.ok());
  const std::vector<LoweredProgram> programs = {*forward, *backward};
  const auto module = HostModule::Compile(programs);
  ASSERT_TRUE(module.ok()) << module.status();
  struct Shape {
    int64_t outer, size, stride;
  };
  for (size_t p = 0; p < programs.size(); ++p) {
    const LoweredProgram& program = programs[p];
    std::vector<ShimRequest> requests;
    // Of every entry for rows.
    for (const Shape& shape : {Shape{70, 50, 1},
                               {9, 1000, 1},
                               {3, 1500, 1},
                               {2, 17000, 1},
                               {6, 50, 4},
                               {2, 17000, 2},
                               {0, 5, 1}}) {
      const int64_t num_elements = shape.outer * shape.size * shape.stride;
      const Dimension along[] = {
          {shape.outer, true}, {shape.size, false}, {shape.stride, true}};
      const Dimension across[] = {
          {shape.outer, false}, {shape.size, true}, {shape.stride, false}};
      ShimRequest& request = requests.emplace_back();
      for (int i = 0; i < program.num_tensor_inputs(); ++i) {
        request.inputs.push_back(OrdinaryTensor(dtype, num_elements, 1 + i));
      }
      request.broadcasts = {
          {OrdinaryTensor(dtype, shape.size, 8), Broadcast(along)},
          {OrdinaryTensor(dtype, shape.outer * shape.stride, 9),
           Broadcast(across)}};
      request.parameters = {1, 0, 2};
      request.rows = {.size = shape.size, .stride = shape.stride};
    }

    const std::vector<Results> got =
        RunOnShim(**module, static_cast<int>(p), program, requests, {});

    for (size_t r = 0; r < requests.size(); ++r) {
      const ShimRequest& request = requests[r];
      EXPECT_EQ(
          Difference(program, got[r],
                     RunReference(program, request.inputs, request.parameters,
                                  request.rows, request.broadcasts)),
          "")
          << "program " << p << ", shape " << r;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, HostBroadcasts,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

}  // namespace
}  // namespace actserve
