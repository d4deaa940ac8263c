// DeviceConformance, programs that read rows: every device against the
// interpreter, bit for bit, whatever the rows are and however they come.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/device/testing/devices.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"
#include "kernels/graph/testing/random_program.h"

namespace actserve {
namespace {

using ::actserve::testing::AllDevices;
using ::actserve::testing::DeviceRow;
using ::actserve::testing::Difference;
using ::actserve::testing::OrdinaryTensor;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::actserve::testing::RunReference;

constexpr char kSoftmax[] =
    "def softmax_t(x, t=0.7):\n"
    "    e = exp((x - rowmax(x)) / t)\n"
    "    return e / rowsum(e)\n";
constexpr char kSorted[] =
    "def sorted_sums(x, t=0.6):\n"
    "    z = rowsort(x, x)\n"
    "    c = rowscan(1.0, z)\n"
    "    k = rowsum(1.0 if z * (rowindex(x) + 1) + t > c else 0.0)\n"
    "    return max(x - rowsum(z if rowindex(x) < k else 0.0) / k, 0.0)\n";
constexpr char kGated[] =
    "def gated(x, g, t=1.5):\n"
    "    s = rowsum(tanh(t * g))\n"
    "    return x * sigmoid(g) / (1 + s * s) + rowmin(x) if x > t else s\n";
constexpr char kNoisy[] =
    "def noisy(x, t=0.7):\n"
    "    u = uniform(5, 2)\n"
    "    kept = exp(x - rowmax(x)) if u < t else normal(5)\n"
    "    return kept / (rowsum(kept * kept) + t) + rowsort(u, x)\n";
const char* const kTexts[] = {kSoftmax, kSorted, kGated, kNoisy};

// The tests share compiled objects.
const std::string& CacheDirectory() {
  static const testing::ScratchDirectory directory;
  return directory.path();
}

std::unique_ptr<Device> MakeWay(const DeviceRow::Way& way) {
  auto device = way.make({.cache_directory = CacheDirectory()});
  EXPECT_TRUE(device.ok()) << way.name << ": " << device.status();
  return *std::move(device);
}

LoweredProgram Forward(const char* text, DType dtype) {
  const auto activation = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  auto lowered = (*activation)->LowerForward(dtype, {});
  EXPECT_TRUE(lowered.ok()) << lowered.status();
  return *std::move(lowered);
}

// With respect to all inputs and t, whose gradient is summed.
LoweredProgram Backward(const char* text, DType dtype) {
  const auto activation = Activation::Create(text, {}, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  std::vector<std::string> wrt = (*activation)->inputs();
  wrt.push_back("t");
  auto lowered = (*activation)->LowerBackward(dtype, wrt);
  EXPECT_TRUE(lowered.ok()) << lowered.status();
  return *std::move(lowered);
}

using MakeTensor = std::string (*)(DType, int64_t, uint32_t);

std::vector<std::string> Inputs(const LoweredProgram& program,
                                int64_t num_elements,
                                MakeTensor make = &OrdinaryTensor) {
  std::vector<std::string> inputs;
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    inputs.push_back(make(program.storage, num_elements, 7 + i));
  }
  return inputs;
}

struct Shape {
  Rows rows;
  int64_t num_elements;

  std::string name() const {
    return absl::StrCat(num_elements, " elements in rows of ", rows.size, ", ",
                        rows.stride, " apart");
  }
};

class DeviceConformanceRowsOfType
    : public ::testing::TestWithParam<std::tuple<DeviceRow, DType>> {
 protected:
  void SetUp() override {
    const std::string reason = std::get<0>(GetParam()).why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Devices, DeviceConformanceRowsOfType,
    ::testing::Combine(::testing::ValuesIn(AllDevices()),
                       ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                         DType::kFloat32, DType::kFloat64)),
    [](const auto& info) {
      return absl::StrCat(std::get<0>(info.param).name, "_",
                          std::string(DTypeName(std::get<1>(info.param))));
    });

TEST_P(DeviceConformanceRowsOfType, EqualTheInterpreter) {
  const auto& [row, dtype] = GetParam();
  const auto device = MakeWay(row.ways[0]);
  // Around the sizes at which a device takes another way.
  constexpr Shape kShapes[] = {
      {{1, 1}, 3},         {{7, 1}, 6307},     {{129, 1}, 387},
      {{256, 1}, 512},     {{1025, 1}, 2050},  {{4097, 1}, 4097},
      {{16385, 1}, 16385}, {{40, 130}, 10400}, {{300, 17}, 10200},
      {{5000, 3}, 15000},  {{17000, 2}, 34000}};
  for (const char* text : kTexts) {
    for (const LoweredProgram& program :
         {Forward(text, dtype), Backward(text, dtype)}) {
      for (const Shape& shape : kShapes) {
        for (const MakeTensor make : {&OrdinaryTensor, &RandomTensor}) {
          SCOPED_TRACE(absl::StrCat(shape.name(), ", ",
                                    program.graph.outputs[0].name, " of\n",
                                    text));
          const auto inputs = Inputs(program, shape.num_elements, make);

          EXPECT_EQ(
              Difference(
                  program,
                  RunOnDevice(*device, program, inputs, {0.7}, shape.rows),
                  RunReference(program, inputs, {0.7}, shape.rows)),
              "");
        }
      }
    }
  }
}

class DeviceConformanceRows : public ::testing::TestWithParam<DeviceRow> {
 protected:
  void SetUp() override {
    const std::string reason = GetParam().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  std::unique_ptr<Device> MakeDevice() { return MakeWay(GetParam().ways[0]); }
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformanceRows,
                         ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DeviceConformanceRows, RandomProgramsEqualTheInterpreter) {
  constexpr Shape kShapes[] = {{{50, 1}, 500},
                               {{5000, 1}, 5000},
                               {{60, 9}, 1080},
                               {{17'000, 1}, 17'000}};
  constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16,
                               DType::kFloat32, DType::kFloat64};
  const auto device = MakeDevice();
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    if (seed % 8 != 1 && GetParam().program_stride > 1) continue;
    const std::string text = testing::RandomProgram(
        seed, {.num_inputs = 1 + static_cast<int>(seed % 2),
               .num_parameters = 1,
               .num_statements = 3,
               .rows = true});
    SCOPED_TRACE(absl::StrCat("seed ", seed, ":\n", text));
    const auto activation = Activation::Create(text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    std::vector<std::string> wrt = (*activation)->inputs();
    wrt.push_back((*activation)->parameters()[0].name);
    const DType dtype = kDTypes[seed / 8 % 4];
    for (const auto& lowered : {(*activation)->LowerForward(dtype, {}),
                                (*activation)->LowerBackward(dtype, wrt)}) {
      ASSERT_TRUE(lowered.ok()) << lowered.status();
      for (const Shape& shape : kShapes) {
        SCOPED_TRACE(shape.name());
        const auto inputs = Inputs(*lowered, shape.num_elements);

        EXPECT_EQ(Difference(
                      *lowered,
                      RunOnDevice(*device, *lowered, inputs, {0.7}, shape.rows),
                      RunReference(*lowered, inputs, {0.7}, shape.rows)),
                  "");
      }
    }
  }
}

// Tensors that a device must cut, or cannot: between rows, at no tile, inside
// of rows alone.
constexpr Shape kLargeShapes[] = {
    {{1000, 1}, 300'000},    {{64, 1}, 524'288},     {{50'000, 1}, 400'000},
    {{300'001, 1}, 300'001}, {{100, 3000}, 300'000}, {{100, 30}, 300'000}};

TEST_P(DeviceConformanceRows, EveryWayGivesTheSameBits) {
  const LoweredProgram programs[] = {Forward(kSoftmax, DType::kFloat32),
                                     Backward(kSoftmax, DType::kFloat32)};
  const auto plain = MakeDevice();
  std::vector<std::unique_ptr<Device>> devices;
  for (const DeviceRow::Way& way : GetParam().ways) {
    devices.push_back(MakeWay(way));
  }
  for (const LoweredProgram& program : programs) {
    for (const Shape& shape : kLargeShapes) {
      const auto inputs = Inputs(program, shape.num_elements);
      const Results want =
          RunOnDevice(*plain, program, inputs, {0.7}, shape.rows);
      for (size_t w = 0; w < devices.size(); ++w) {
        SCOPED_TRACE(absl::StrCat(GetParam().ways[w].name, ", ", shape.name()));

        EXPECT_EQ(Difference(program,
                             RunOnDevice(*devices[w], program, inputs, {0.7},
                                         shape.rows),
                             want),
                  "");
      }
    }
  }
}

// The draws of an element are those of its place, in whichever chunk or thread.
TEST_P(DeviceConformanceRows, DrawTheNumbersOfPlacesHoweverATensorIsCut) {
  constexpr int64_t kOffset = (int64_t{1} << 33) - 11;
  const LoweredProgram program = Backward(
      "def f(x, t=0.7):\n"
      "    kept = x if uniform(5, 2) < t else normal(5)\n"
      "    return kept / (rowsum(kept * kept) + t)\n",
      DType::kFloat32);
  for (const Shape& shape : kLargeShapes) {
    const auto inputs = Inputs(program, shape.num_elements);
    const Results want =
        RunReference(program, inputs, {0.7}, shape.rows, {}, kOffset);
    for (const DeviceRow::Way& way : GetParam().ways) {
      SCOPED_TRACE(absl::StrCat(way.name, ", ", shape.name()));

      EXPECT_EQ(Difference(program,
                           RunOnDevice(*MakeWay(way), program, inputs, {0.7},
                                       shape.rows, {}, kOffset),
                           want),
                "");
    }
  }
}

TEST_P(DeviceConformanceRows, LargeTensorsEqualTheInterpreter) {
  const auto device = MakeDevice();
  const LoweredProgram program = Backward(kSoftmax, DType::kFloat32);
  // Longer than what is copied at a time.
  const Shape shape = {{700'001, 1}, 700'001};
  const auto inputs = Inputs(program, shape.num_elements);

  EXPECT_EQ(Difference(program,
                       RunOnDevice(*device, program, inputs, {0.7}, shape.rows),
                       RunReference(program, inputs, {0.7}, shape.rows)),
            "");
}

// The tensors of one item, and the item.
class Request {
 public:
  // Tensors come in fragments of at most `fragment_bytes`.
  Request(const LoweredProgram& program, const Shape& shape, double t,
          int64_t fragment_bytes)
      : program_(program), inputs_(Inputs(program, shape.num_elements)) {
    for (const std::string& input : inputs_) {
      std::vector<Fragment>& fragments = fragments_.emplace_back();
      for (size_t at = 0; at < input.size(); at += fragment_bytes) {
        fragments.push_back(
            {reinterpret_cast<const std::byte*>(input.data()) + at,
             std::min<size_t>(fragment_bytes, input.size() - at)});
      }
    }
    for (const Output& output : program.graph.outputs) {
      if (output.summed) continue;
      results_.outputs.emplace_back(
          shape.num_elements * ItemSizeBytes(program.storage), '?');
    }
    item_.num_elements = shape.num_elements;
    item_.rows = shape.rows;
    item_.parameters = {t};
    for (const auto& fragments : fragments_) item_.inputs.push_back(fragments);
    for (std::string& output : results_.outputs) {
      item_.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
    }
  }

  const WorkItem& item() const { return item_; }
  // The difference of what `done`, a copy of item() that was run, has led to.
  std::string Wrong(const WorkItem& done) {
    results_.sums = done.sums;
    return Difference(
        program_, results_,
        RunReference(program_, inputs_, item_.parameters, item_.rows));
  }

 private:
  const LoweredProgram& program_;
  const std::vector<std::string> inputs_;
  std::vector<std::vector<Fragment>> fragments_;
  Results results_;
  WorkItem item_;
};

TEST_P(DeviceConformanceRows, ItemsOfOneRunHaveRowsOfTheirOwn) {
  constexpr Shape kShapes[] = {{{10, 1}, 1000},       {{2000, 1}, 4000},
                               {{20'000, 1}, 40'000}, {{1, 1}, 0},
                               {{30, 7}, 2100},       {{100'000, 1}, 100'000},
                               {{200, 1}, 10'000}};
  // Small chunks, on a device that has them.
  const auto device = MakeWay(GetParam().ways[1]);
  for (const LoweredProgram& program :
       {Forward(kGated, DType::kFloat32), Backward(kGated, DType::kFloat32)}) {
    const auto compiled = device->Compile(program);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    std::vector<std::unique_ptr<Request>> requests;
    std::vector<WorkItem> items;
    for (const Shape& shape : kShapes) {
      requests.push_back(std::make_unique<Request>(
          program, shape, 0.25 * static_cast<double>(requests.size()), 4097));
      items.push_back(requests.back()->item());
    }

    ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(items)).ok());

    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(requests[i]->Wrong(items[i]), "") << kShapes[i].name();
    }
  }
}

TEST_P(DeviceConformanceRows, KeptInputsGiveTheBitsOfInputs) {
  const auto device = MakeWay(GetParam().ways[1]);
  const LoweredProgram forward = Forward(kSoftmax, DType::kFloat32);
  const LoweredProgram backward = Backward(kSoftmax, DType::kFloat32);
  for (const Shape& shape : {Shape{{100, 1}, 5000}, Shape{{1000, 1}, 300'000},
                             Shape{{100'000, 1}, 200'000}}) {
    SCOPED_TRACE(shape.name());
    Request first(forward, shape, 0.7, 1 << 20);
    WorkItem kept = first.item();
    kept.keep_inputs = true;
    const auto compiled = device->Compile(forward);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(&kept, 1)).ok());
    if (device->name() == "cpu") GTEST_SKIP() << "the CPU keeps none";
    ASSERT_NE(kept.kept, nullptr);

    // Its first input is the same tensor.
    Request second(backward, shape, 0.7, 1 << 20);
    WorkItem item = second.item();
    item.resident = kept.kept;
    item.inputs.erase(item.inputs.begin());
    const auto next = device->Compile(backward);
    ASSERT_TRUE(next.ok()) << next.status();
    ASSERT_TRUE(device->Run(**next, absl::MakeSpan(&item, 1)).ok());

    EXPECT_EQ(second.Wrong(item), "");
  }
}

TEST_P(DeviceConformanceRows, RowsThatDoNotFillTheTensorAreRefused) {
  const auto device = MakeDevice();
  const LoweredProgram program = Forward(kSoftmax, DType::kFloat32);
  const auto compiled = device->Compile(program);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  for (const Rows& rows : {Rows{4, 1}, Rows{3, 4}, Rows{0, 1}, Rows{3, 0}}) {
    const Request request(program, {rows, 6}, 0.7, 100);
    WorkItem item = request.item();

    EXPECT_EQ(device->Run(**compiled, absl::MakeSpan(&item, 1)).code(),
              absl::StatusCode::kInvalidArgument)
        << rows.size << " " << rows.stride;
  }
}

TEST_P(DeviceConformanceRows, AnEmptyTensorHasNone) {
  const auto device = MakeDevice();
  const LoweredProgram program = Backward(kSoftmax, DType::kFloat32);
  const auto compiled = device->Compile(program);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  WorkItem item;
  item.rows = {.size = 0};
  item.parameters = {0.7};
  item.inputs.resize(2);
  item.outputs = {nullptr};

  ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(&item, 1)).ok());

  EXPECT_EQ(item.sums, std::vector<double>{0});
}

}  // namespace
}  // namespace actserve
