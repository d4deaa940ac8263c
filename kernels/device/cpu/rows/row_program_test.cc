#include "kernels/device/cpu/rows/row_program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using testing::Difference;
using testing::OrdinaryTensor;
using testing::RandomTensor;
using testing::RunOnDevice;
using testing::RunReference;

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
    "def gated(x, g, t=1.5):\n"
    "    s = rowsum(tanh(t * g))\n"
    "    return x * sigmoid(g) / (1 + s * s) + rowmin(x) if x > t else s\n",
    "def noisy(x, t=0.9):\n"
    "    u = uniform(5, 2)\n"
    "    e = exp(t * (x - rowmax(x)) + normal(5))\n"
    "    kept = e if u < t else 0.0\n"
    "    return kept / (rowsum(kept) + rowmean(u)) + rowsort(u, x * t)\n",
};

std::unique_ptr<CpuDevice> MakeDevice(int num_threads, int64_t per_task) {
  CpuDevice::Options options;
  options.num_threads = num_threads;
  options.min_elements_per_task = per_task;
  auto device = CpuDevice::Create(options);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

class RowProgramOfType : public ::testing::TestWithParam<DType> {
 protected:
  // The forward program and that of all gradients, of every text.
  std::vector<LoweredProgram> Programs() const {
    std::vector<LoweredProgram> programs;
    for (const char* text : kTexts) {
      const auto activation = Activation::Create(text, {}, nullptr);
      EXPECT_TRUE(activation.ok()) << activation.status();
      std::vector<std::string> wrt = (*activation)->inputs();
      wrt.push_back("t");
      for (auto& made : {(*activation)->LowerForward(GetParam(), {}),
                         (*activation)->LowerBackward(GetParam(), wrt)}) {
        EXPECT_TRUE(made.ok()) << made.status();
        programs.push_back(*made);
      }
    }
    return programs;
  }
  // Of numbers of all kinds if rows are short: in a long one a NaN would hide
  // all others.
  std::vector<std::string> InputsOf(const LoweredProgram& program,
                                    int64_t num_elements,
                                    int64_t row_size) const {
    const auto make = row_size < 10 ? &RandomTensor : &OrdinaryTensor;
    std::vector<std::string> inputs;
    for (int i = 0; i < program.num_tensor_inputs(); ++i) {
      inputs.push_back(make(GetParam(), num_elements, 7 + i));
    }
    return inputs;
  }
};

TEST_P(RowProgramOfType, EqualsTheInterpreter) {
  const auto device = MakeDevice(1, int64_t{512} << 10);
  struct Case {
    int64_t size, stride, blocks;
  };
  // Short and long rows, and those that end where blocks and tiles do.
  constexpr Case kCases[] = {
      {1, 1, 3},    {2, 1, 3000}, {7, 1, 901},  {128, 1, 40}, {129, 1, 3},
      {64, 1, 70},  {192, 1, 50}, {255, 1, 20}, {256, 1, 2},  {1000, 1, 9},
      {4096, 1, 2}, {4097, 1, 1}, {9000, 1, 2}, {3, 5, 4},    {40, 130, 2},
      {64, 3, 2},   {300, 17, 2}, {5000, 3, 1}};
  for (const LoweredProgram& program : Programs()) {
    for (const Case& at : kCases) {
      SCOPED_TRACE(absl::StrCat(program.graph.outputs[0].name, " rows of ",
                                at.size, ", ", at.stride, " apart, ",
                                at.blocks));
      const Rows rows = {.size = at.size, .stride = at.stride};
      const auto inputs =
          InputsOf(program, at.size * at.stride * at.blocks, at.size);

      EXPECT_EQ(Difference(program,
                           RunOnDevice(*device, program, inputs, {0.7}, rows),
                           RunReference(program, inputs, {0.7}, rows)),
                "");
    }
  }
}

// Kernels divide by a power of two in another way than by other numbers.
TEST_P(RowProgramOfType, DividesByAnyParameter) {
  const auto device = MakeDevice(1, int64_t{512} << 10);
  const std::vector<LoweredProgram> programs = Programs();
  for (const LoweredProgram* program : {&programs[0], &programs[1]}) {
    for (const int64_t size : {7, 256}) {
      const Rows rows = {.size = size};
      const auto inputs = InputsOf(*program, size * 20, size);
      for (const double t :
           {1.0, 8.0, -0.5, 3.0, 0x1p-100, 0x1p100, 0x1p-101, 0x1p127, 0x1p-126,
            0x1p-149, 0.0, -0.0, HUGE_VAL, std::nan("")}) {
        SCOPED_TRACE(absl::StrCat(program->graph.outputs[0].name, " rows of ",
                                  size, ", t = ", t));
        EXPECT_EQ(Difference(*program,
                             RunOnDevice(*device, *program, inputs, {t}, rows),
                             RunReference(*program, inputs, {t}, rows)),
                  "");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RowProgramOfType,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

class RowProgramTest : public RowProgramOfType {};

// Many short rows, and few long ones, whose parts are shared.
TEST_P(RowProgramTest, DoesNotDependOnThreads) {
  const auto one = MakeDevice(1, int64_t{512} << 10);
  const auto four = MakeDevice(4, 4096);
  for (const LoweredProgram& program : Programs()) {
    for (const Rows& rows : {Rows{9, 1}, Rows{200000, 1}, Rows{70, 11}}) {
      const int64_t count = rows.size * rows.stride;
      const auto inputs =
          InputsOf(program, (rows.size == 200000 ? 1 : 40000 / count) * count,
                   rows.size);
      EXPECT_EQ(
          Difference(program, RunOnDevice(*four, program, inputs, {0.7}, rows),
                     RunOnDevice(*one, program, inputs, {0.7}, rows)),
          "");
    }
  }
}

// Outputs start anywhere in a cache line, and rows end anywhere.
TEST_P(RowProgramTest, DoesNotDependOnTheKindOfStores) {
  CpuDevice::Options options;
  options.num_threads = 1;
  options.non_temporal_threshold_bytes = 0;
  const auto through = CpuDevice::Create(options);
  options.non_temporal_threshold_bytes = 1;
  const auto past = CpuDevice::Create(options);
  ASSERT_TRUE(through.ok() && past.ok());
  for (const LoweredProgram& program : Programs()) {
    for (const int64_t size : {9, 64, 1000, 1024, 9001}) {
      SCOPED_TRACE(absl::StrCat(program.graph.outputs[0].name, ", ", size));
      const auto inputs = InputsOf(program, size * 5, size);

      EXPECT_EQ(
          Difference(
              program,
              RunOnDevice(**past, program, inputs, {0.7}, {.size = size}),
              RunOnDevice(**through, program, inputs, {0.7}, {.size = size})),
          "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RowProgramTest,
                         ::testing::Values(DType::kFloat32),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

TEST(RowProgram, DrawsTheNumbersOfPlacesInTheTensor) {
  constexpr int64_t kOffset = (int64_t{1} << 33) - 11;
  const auto activation = Activation::Create(
      "def f(x, b, seed=9007199254740985):\n"
      "    return x * b + rowsum(x * normal(seed)) + uniform(seed, 3)\n",
      {}, nullptr);
  ASSERT_TRUE(activation.ok()) << activation.status();
  const auto lowered = (*activation)->LowerForward(DType::kFloat64, {});
  ASSERT_TRUE(lowered.ok()) << lowered.status();
  const auto device = MakeDevice(3, 4096);
  for (const Rows& rows : {Rows{9, 1}, Rows{70000, 1}, Rows{70, 11}}) {
    const int64_t num_elements = rows.size == 70000 ? 70000 : 69300;
    const std::string x = OrdinaryTensor(DType::kFloat64, num_elements, 3);
    const std::vector<double> parameters = {9007199254740985};

    EXPECT_EQ(Difference(*lowered,
                         RunOnDevice(*device, *lowered, {x, x}, parameters,
                                     rows, {}, kOffset),
                         RunReference(*lowered, {x, x}, parameters, rows, {},
                                      kOffset)),
              "");
  }
}

TEST(RowProgram, TakesAnyFragments) {
  const auto device = MakeDevice(1, 4096);
  const auto activation = Activation::Create(kTexts[0], {}, nullptr);
  ASSERT_TRUE(activation.ok());
  const auto lowered = (*activation)->LowerForward(DType::kFloat32, {});
  const auto program = device->Compile(*lowered);
  ASSERT_TRUE(program.ok()) << program.status();
  const std::string x = RandomTensor(DType::kFloat32, 600, 3);
  const auto* bytes = reinterpret_cast<const std::byte*>(x.data());
  const std::vector<Fragment> fragments = {
      {bytes, 13}, {bytes + 13, 0}, {bytes + 13, 1000}, {bytes + 1013, 1387}};
  std::string y(x.size(), '?');
  WorkItem item;
  item.num_elements = 600;
  item.rows = {.size = 300};
  item.parameters = {0.7};
  item.inputs = {fragments};
  item.outputs = {reinterpret_cast<std::byte*>(y.data())};

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&item, 1)).ok());

  EXPECT_EQ(
      Difference(DType::kFloat32, y,
                 RunReference(*lowered, {x}, {0.7}, item.rows).outputs[0]),
      "");
}

TEST(RowProgram, CompilesForShortRowsWhenTheyCome) {
  const auto device = MakeDevice(1, 4096);
  const auto activation = Activation::Create(kTexts[0], {}, nullptr);
  ASSERT_TRUE(activation.ok());
  const auto lowered = (*activation)->LowerForward(DType::kFloat32, {});
  const auto compiled = [&] { return device->code_sources().compiled; };
  const auto run = [&](int64_t size) {
    const std::string x = RandomTensor(DType::kFloat32, 2 * size, 3);
    RunOnDevice(*device, *lowered, {x}, {0.7}, {.size = size});
  };

  run(1000);
  const int64_t for_long = compiled();
  run(2000);
  EXPECT_EQ(compiled(), for_long);
  run(10);
  const int64_t for_both = compiled();
  run(20);

  EXPECT_GT(for_both, for_long);
  EXPECT_EQ(compiled(), for_both);
}

TEST(RowProgram, TellsWhatItTakesBesideTheTensors) {
  const auto device = MakeDevice(1, 4096);
  const auto activation = Activation::Create(kTexts[0], {}, nullptr);
  ASSERT_TRUE(activation.ok());
  const auto forward =
      device->Compile(*(*activation)->LowerForward(DType::kBFloat16, {}));
  const auto backward = device->Compile(
      *(*activation)->LowerBackward(DType::kBFloat16, {"x", "t"}));
  ASSERT_TRUE(forward.ok() && backward.ok());
  const std::string x(30000, '\0');
  const auto* bytes = reinterpret_cast<const std::byte*>(x.data());
  const std::vector<Fragment> two = {{bytes, 1000}, {bytes + 1000, 1000}};
  const std::vector<Fragment> one = {{bytes, 2000}};
  WorkItem item;
  item.num_elements = 1000;
  item.rows = {.size = 100};

  // The exponentials of the rows that go together, in float32: all, here.
  item.inputs = {one};
  EXPECT_EQ((*forward)->ScratchBytes(item), 4000);
  item.inputs = {two};
  EXPECT_EQ((*forward)->ScratchBytes(item), 4000 + 2000);
  // Rows that lie apart are copied together, in and out.
  item.inputs = {one};
  item.rows = {.size = 100, .stride = 10};
  EXPECT_EQ((*forward)->ScratchBytes(item), 4000 + 2000 + 2000);
  // Of one long row after the other, as much as one of them takes.
  item.num_elements = 15000;
  item.rows = {.size = 5000};
  const Fragment of_long = {bytes, 30000};
  item.inputs = {absl::MakeConstSpan(&of_long, 1)};
  EXPECT_EQ((*forward)->ScratchBytes(item), 20000);
  item.num_elements = 1000;
  item.rows = {.size = 500};
  // The terms of the gradient of t, besides.
  item.inputs = {one, two};
  EXPECT_GE((*backward)->ScratchBytes(item), 4000 + 2000 + 2000);
}

TEST(RowProgram, RefusesRowsThatDoNotFillTheTensor) {
  const auto device = MakeDevice(1, 4096);
  const auto activation = Activation::Create(kTexts[0], {}, nullptr);
  ASSERT_TRUE(activation.ok());
  const auto program =
      device->Compile(*(*activation)->LowerForward(DType::kFloat32, {}));
  ASSERT_TRUE(program.ok()) << program.status();
  const std::string x(6 * sizeof(float), '\0');
  std::string y(x.size(), '?');
  const Fragment fragment = {reinterpret_cast<const std::byte*>(x.data()),
                             x.size()};
  for (const Rows& rows : {Rows{4, 1}, Rows{3, 4}, Rows{0, 1}, Rows{3, 0}}) {
    WorkItem item;
    item.num_elements = 6;
    item.rows = rows;
    item.parameters = {0.7};
    item.inputs = {absl::MakeConstSpan(&fragment, 1)};
    item.outputs = {reinterpret_cast<std::byte*>(y.data())};

    EXPECT_EQ(device->Run(**program, absl::MakeSpan(&item, 1)).code(),
              absl::StatusCode::kInvalidArgument)
        << rows.size << " " << rows.stride;
  }
}

TEST(RowProgram, AnEmptyTensorHasNoRows) {
  const auto device = MakeDevice(1, 4096);
  const auto activation = Activation::Create(kTexts[0], {}, nullptr);
  ASSERT_TRUE(activation.ok());
  const auto program = device->Compile(
      *(*activation)->LowerBackward(DType::kFloat32, {"x", "t"}));
  ASSERT_TRUE(program.ok()) << program.status();
  WorkItem item;
  item.rows = {.size = 0};
  item.parameters = {0.7};
  item.inputs.resize(2);
  item.outputs = {nullptr};

  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&item, 1)).ok());

  EXPECT_EQ(item.sums, std::vector<double>{0});
}

}  // namespace
}  // namespace actserve
