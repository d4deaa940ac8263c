#include "kernels/device/cpu/broadcast_run.h"

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cpu/read/broadcast_source.h"
#include "kernels/device/testing/reference.h"

namespace actserve {
namespace {

using Dimension = Broadcast::Dimension;
using testing::BroadcastTensor;
using testing::Difference;
using testing::MakeBroadcasting;
using testing::OrdinaryTensor;
using testing::RandomTensor;
using testing::Results;
using testing::RunOnDevice;
using testing::RunReference;

// Tasks as short as they may be, and stores past the caches.
std::unique_ptr<CpuDevice> MakeDevice(int num_threads, bool non_temporal) {
  auto device =
      CpuDevice::Create({.num_threads = num_threads,
                         .non_temporal_threshold_bytes = non_temporal ? 1 : 0,
                         .min_elements_per_task = 4096});
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

const std::vector<std::vector<Dimension>>& Shapes() {
  static const auto* const shapes = new std::vector<std::vector<Dimension>>{
      {{1, false}},
      {{700, false}},
      {{700, true}},
      {{9000, true}},
      {{300, true}, {3, false}},
      {{3, false}, {300, true}},
      {{7, true}, {5000, false}},
      {{130, true}, {1200, false}},
      {{2, true}, {3, false}, {5000, true}},
      {{70, true}, {5, false}, {9, true}},
      {{3, true}, {40, false}, {64, true}},
      {{3, true}, {2, false}, {4097, true}, {2, false}, {3, true}},
      {{2, false}, {130, true}, {3, false}},
      {{5, true}, {2, false}, {67, true}, {300, false}},
      {{0, true}, {3, false}},
      {{3, false}, {0, true}},
  };
  return *shapes;
}

class Broadcasts : public ::testing::TestWithParam<DType> {};

TEST_P(Broadcasts, EqualTheReferenceWhateverTheShapeAndTheThreads) {
  const DType dtype = GetParam();
  // A parameter per channel, a number, and a bias of another shape.
  const auto activation = MakeBroadcasting(
      "def f(x, bias, slope=0.25, scale=3):\n"
      "    z = x + bias\n"
      "    return scale * (z if z > 0 else slope * z)\n",
      {"slope", "bias"});
  const auto forward = activation->LowerForward(dtype, {});
  // Sums of the first shape are taken while elements are computed, those of the
  // others from arrays of their terms.
  const auto number_first =
      activation->LowerBackward(dtype, {"x", "bias", "slope", "scale"});
  const auto channels_first =
      activation->LowerBackward(dtype, {"x", "slope", "bias", "scale"});
  ASSERT_TRUE(forward.ok()) << forward.status();
  ASSERT_TRUE(number_first.ok()) << number_first.status();
  ASSERT_TRUE(channels_first.ok()) << channels_first.status();
  ASSERT_EQ(forward->num_tensor_inputs(), 1);
  ASSERT_EQ(number_first->num_tensor_inputs(), 2);
  ASSERT_EQ(number_first->num_broadcasts, 2);
  const std::unique_ptr<CpuDevice> devices[] = {
      MakeDevice(1, /*non_temporal=*/false),
      MakeDevice(3, /*non_temporal=*/true)};
  const std::vector<double> parameters = {-1, 0.75};
  uint32_t seed = 1;
  for (const auto& dimensions : Shapes()) {
    const Broadcast shape(dimensions);
    const int64_t num_elements = shape.num_read();
    const Dimension all = {num_elements, true};
    SCOPED_TRACE(
        absl::StrCat(num_elements, " elements of ", shape.num_elements()));
    // A sum with a NaN hides all others, so numbers of all kinds only for y.
    for (const auto make : {&RandomTensor, &OrdinaryTensor}) {
      const std::vector<BroadcastTensor> broadcasts = {
          {make(dtype, 1, ++seed), Broadcast({&all, 1})},
          {make(dtype, shape.num_elements(), ++seed), shape}};
      const std::vector<std::string> inputs = {
          make(dtype, num_elements, ++seed), make(dtype, num_elements, ++seed)};
      const auto expect_equal = [&](const LoweredProgram& program) {
        const std::vector<std::string> given(
            inputs.begin(), inputs.begin() + program.num_tensor_inputs());
        const Results want =
            RunReference(program, given, parameters, {}, broadcasts);
        for (const auto& device : devices) {
          EXPECT_EQ(Difference(program,
                               RunOnDevice(*device, program, given, parameters,
                                           {}, broadcasts),
                               want),
                    "");
        }
      };
      if (make == &RandomTensor) {
        expect_equal(*forward);
      } else {
        expect_equal(*number_first);
        expect_equal(*channels_first);
      }
    }
  }
}

TEST_P(Broadcasts, OfRowsEqualTheReference) {
  const DType dtype = GetParam();
  const auto activation = MakeBroadcasting(
      "def norm(x, weight=1, bias=0):\n"
      "    c = x - rowmean(x)\n"
      "    return c / sqrt(rowmean(c * c) + 1e-5) * weight + bias\n",
      {"weight", "bias"});
  const auto backward =
      activation->LowerBackward(dtype, {"x", "weight", "bias"});
  ASSERT_TRUE(backward.ok()) << backward.status();
  struct Case {
    Rows rows;
    std::vector<Dimension> weight, bias;
  };
  const Case cases[] = {
      // [6, 50, 4]: rows along the second axis, weights along it and across it.
      {{50, 4},
       {{6, true}, {50, false}, {4, true}},
       {{6, false}, {50, true}, {4, true}}},
      // Short rows, of which a last block has fewer, and long ones.
      {{50, 1}, {{200, true}, {50, false}}, {{200, false}, {50, true}}},
      {{300, 1}, {{70, true}, {300, false}}, {{21000, true}}},
      // The half of a row, twice; a part of a row; and a single row.
      {{50, 1},
       {{400, true}, {25, false}},
       {{200, true}, {5, false}, {10, true}}},
      {{600, 1},
       {{14, true}, {300, false}},
       {{7, true}, {2, false}, {300, true}}},
      {{5000, 1}, {{5000, false}}, {{5, false}, {1000, true}}},
  };
  auto device = MakeDevice(2, false);
  for (const Case& at : cases) {
    const Broadcast weight(at.weight), bias(at.bias);
    SCOPED_TRACE(absl::StrCat("rows of ", at.rows.size, ", weights ",
                              weight.num_elements()));
    const std::vector<BroadcastTensor> broadcasts = {
        {OrdinaryTensor(dtype, weight.num_elements(), 1), weight},
        {OrdinaryTensor(dtype, bias.num_elements(), 2), bias}};
    std::vector<std::string> inputs;
    for (uint32_t i = 0; i < 2; ++i) {
      inputs.push_back(OrdinaryTensor(dtype, weight.num_read(), 3 + i));
    }
    const std::vector<double> parameters = {1, 0};
    EXPECT_EQ(Difference(*backward,
                         RunOnDevice(*device, *backward, inputs, parameters,
                                     at.rows, broadcasts),
                         RunReference(*backward, inputs, parameters, at.rows,
                                      broadcasts)),
              "");
  }
}

TEST_P(Broadcasts, OfHigherOrderEqualTheReference) {
  const DType dtype = GetParam();
  const char* const texts[] = {
      "def f(x, g, a=1, b=0):\n"
      "    return tanh(a * x) * g * g + b * x if x > g else a * b * g\n",
      "def f(x, g, a=1, b=0):\n"
      "    c = x - rowmean(x * g)\n"
      "    return c / sqrt(rowmean(c * c) + 0.01) * a * a + b\n"};
  // [6, 50, 4]; rows run along the second axis.
  const Dimension along[] = {{6, true}, {50, false}, {4, true}};
  const Dimension across[] = {{6, false}, {50, true}, {4, true}};
  auto device = MakeDevice(2, false);
  for (const std::string text : texts) {
    SCOPED_TRACE(text);
    const auto activation = MakeBroadcasting(text, {"g", "a"});
    const std::vector<std::string> names = {"x", "g", "a", "b"};
    const Rows rows =
        activation->reads_rows() ? Rows{.size = 50, .stride = 4} : Rows{};
    for (const auto& program :
         {activation->LowerSecondOrder(dtype, names, names, true),
          activation->LowerSecondOrder(dtype, {"a"}, {"g", "a"}, false),
          activation->LowerTangent(dtype, names),
          activation->LowerTangent(dtype, {"a"})}) {
      ASSERT_TRUE(program.ok()) << program.status();
      uint32_t seed = 0;
      std::vector<std::string> inputs;
      for (int i = 0; i < program->num_tensor_inputs(); ++i) {
        inputs.push_back(OrdinaryTensor(dtype, 1200, ++seed));
      }
      std::vector<BroadcastTensor> broadcasts;
      const auto add = [&](absl::Span<const Dimension> dimensions) {
        const Broadcast shape(dimensions);
        broadcasts.push_back(
            {OrdinaryTensor(dtype, shape.num_elements(), ++seed), shape});
      };
      add(along);
      add(across);
      // The companions of g, if it has one, and of a.
      if (program->num_broadcasts == 4) add(along);
      add(across);
      ASSERT_EQ(program->num_broadcasts, std::ssize(broadcasts));
      std::vector<double> parameters = {1, 0.5};
      parameters.resize(program->graph.parameters.size(), -0.75);
      EXPECT_EQ(Difference(*program,
                           RunOnDevice(*device, *program, inputs, parameters,
                                       rows, broadcasts),
                           RunReference(*program, inputs, parameters, rows,
                                        broadcasts)),
                "");
    }
  }
}

TEST_P(Broadcasts, DrawTheNumbersOfTheirElements) {
  const DType dtype = GetParam();
  constexpr int64_t kOffset = (int64_t{1} << 40) - 7;
  const auto activation = MakeBroadcasting(
      "def f(x, slope=0.25, seed=9007199254740985):\n"
      "    return x * slope * uniform(seed) + slope * normal(seed, 1)\n",
      {"slope"});
  const std::vector<double> parameters = {0, 9007199254740985};
  auto device = MakeDevice(3, /*non_temporal=*/true);
  for (const auto& program :
       {activation->LowerForward(dtype, {}),
        activation->LowerBackward(dtype, {"x", "slope"})}) {
    ASSERT_TRUE(program.ok()) << program.status();
    for (const auto& dimensions : Shapes()) {
      const Broadcast shape(dimensions);
      const std::vector<BroadcastTensor> broadcasts = {
          {OrdinaryTensor(dtype, shape.num_elements(), 1), shape}};
      std::vector<std::string> inputs;
      for (int i = 0; i < program->num_tensor_inputs(); ++i) {
        inputs.push_back(OrdinaryTensor(dtype, shape.num_read(), 2 + i));
      }
      EXPECT_EQ(Difference(*program,
                           RunOnDevice(*device, *program, inputs, parameters,
                                       {}, broadcasts, kOffset),
                           RunReference(*program, inputs, parameters, {},
                                        broadcasts, kOffset)),
                "")
          << shape.num_read() << " elements, " << shape.num_elements();
    }
  }
}

TEST_P(Broadcasts, ReadFragmentsOfAnyLength) {
  const DType dtype = GetParam();
  const int64_t item_size = ItemSizeBytes(dtype);
  const auto activation =
      MakeBroadcasting("def f(x, slope=0.25): return x * slope", {"slope"});
  const auto backward = activation->LowerBackward(dtype, {"x", "slope"});
  ASSERT_TRUE(backward.ok());
  const Dimension dimensions[] = {{90, true}, {1500, false}};
  const Broadcast shape(dimensions);
  const std::vector<BroadcastTensor> broadcasts = {
      {OrdinaryTensor(dtype, 1500, 1), shape}};
  const std::vector<std::string> inputs = {
      OrdinaryTensor(dtype, shape.num_read(), 2),
      OrdinaryTensor(dtype, shape.num_read(), 3)};
  const Results want = RunReference(*backward, inputs, {0}, {}, broadcasts);

  std::mt19937 random(4);
  std::vector<std::vector<Fragment>> fragments;
  for (const std::string* tensor :
       {&inputs[0], &inputs[1], &broadcasts[0].data}) {
    auto& parts = fragments.emplace_back();
    for (size_t at = 0; at < tensor->size();) {
      const size_t size =
          std::min<size_t>(tensor->size() - at, random() % 9000);
      parts.push_back(
          {reinterpret_cast<const std::byte*>(tensor->data() + at), size});
      at += size;
    }
  }
  auto device = MakeDevice(3, false);
  auto program = device->Compile(*backward);
  ASSERT_TRUE(program.ok()) << program.status();
  Results got;
  got.outputs.emplace_back(shape.num_read() * item_size, '?');
  WorkItem item;
  item.num_elements = shape.num_read();
  item.inputs = {fragments[0], fragments[1]};
  item.broadcasts = {{fragments[2], shape}};
  item.parameters = {0};
  item.outputs = {reinterpret_cast<std::byte*>(got.outputs[0].data())};
  ASSERT_TRUE(device->Run(**program, absl::MakeSpan(&item, 1)).ok());
  got.sums = item.sums;
  EXPECT_EQ(Difference(*backward, got, want), "");
}

INSTANTIATE_TEST_SUITE_P(DTypes, Broadcasts,
                         ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                           DType::kFloat32, DType::kFloat64),
                         [](const auto& info) {
                           return std::string(DTypeName(info.param));
                         });

TEST(BroadcastItems, ThatDoNotFitAreRefused) {
  const auto activation =
      MakeBroadcasting("def f(x, slope=0.25): return x * slope", {"slope"});
  auto device = MakeDevice(1, false);
  auto program =
      device->Compile(*activation->LowerForward(DType::kFloat32, {}));
  ASSERT_TRUE(program.ok()) << program.status();
  const std::vector<float> x(12);
  std::vector<float> y(12);
  const Fragment whole = {reinterpret_cast<const std::byte*>(x.data()), 48};
  const Fragment part = {whole.data, 16};
  const Dimension fits[] = {{3, true}, {4, false}};
  const Dimension short_by_one[] = {{3, true}, {3, false}};
  WorkItem item;
  item.num_elements = 12;
  item.inputs = {absl::MakeConstSpan(&whole, 1)};
  item.parameters = {0.25};
  item.outputs = {reinterpret_cast<std::byte*>(y.data())};
  const auto run = [&] {
    return std::string(
        device->Run(**program, absl::MakeSpan(&item, 1)).message());
  };
  EXPECT_EQ(run(), "broadcast inputs: 0 given, but the program has 1");
  item.broadcasts = {{absl::MakeConstSpan(&part, 1), Broadcast(short_by_one)}};
  EXPECT_EQ(
      run(),
      "broadcast input 0: 16 bytes, want 12, read as 9 elements, want 12");
  item.broadcasts[0].shape = Broadcast(fits);
  EXPECT_EQ(run(), "");
}

}  // namespace
}  // namespace actserve
