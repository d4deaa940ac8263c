// DeviceConformance, programs with tensors that broadcast: every device against
// the interpreter, bit for bit, sums included, whatever the shapes are and
// however the items come.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/testing/make_activation.h"
#include "kernels/device/testing/devices.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using Dimension = Broadcast::Dimension;
using ::actserve::testing::AllDevices;
using ::actserve::testing::BroadcastTensor;
using ::actserve::testing::DeviceRow;
using ::actserve::testing::Difference;
using ::actserve::testing::MakeBroadcasting;
using ::actserve::testing::OrdinaryTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::actserve::testing::RunReference;

constexpr char kAffine[] =
    "def affine(x, slope=0.25, scale=3):\n"
    "    return scale * (x if x > 0 else slope * x)\n";
constexpr char kNoisy[] =
    "def noisy(x, slope=0.25, scale=3):\n"
    "    return x * slope * normal(5) + scale * slope\n";
constexpr char kNorm[] =
    "def norm(x, slope=1, scale=2):\n"
    "    c = x - rowmean(x)\n"
    "    return scale * c / sqrt(rowmean(c * c) + 1e-5) * slope\n";

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

// The values; and the gradients of x, of the slopes and of the scale.
std::vector<LoweredProgram> ForwardAndBackward(const char* text, DType dtype) {
  const auto activation = MakeBroadcasting(text, {"slope"});
  return {*activation->LowerForward(dtype, {}),
          *activation->LowerBackward(dtype, {"x", "slope", "scale"})};
}

struct Shape {
  std::vector<Dimension> dimensions;
  Rows rows = {};

  Broadcast broadcast() const { return Broadcast(dimensions); }
};

// The tensors of one item, and the item.
class Request {
 public:
  // Tensors come in fragments of at most `fragment_bytes`.
  Request(const LoweredProgram& program, const Shape& shape, uint32_t seed,
          int64_t fragment_bytes = int64_t{1} << 40)
      : program_(program),
        slopes_{{OrdinaryTensor(program.storage,
                                shape.broadcast().num_elements(), seed),
                 shape.broadcast()}} {
    const int64_t num_elements = shape.broadcast().num_read();
    for (int i = 0; i < program.num_tensor_inputs(); ++i) {
      inputs_.push_back(
          OrdinaryTensor(program.storage, num_elements, seed + 1 + i));
    }
    item_.num_elements = num_elements;
    item_.rows = shape.rows;
    item_.parameters = {0, 0.75};
    for (const std::string& input : inputs_) {
      fragments_.push_back(Cut(input, fragment_bytes));
    }
    for (const auto& fragments : fragments_) item_.inputs.push_back(fragments);
    small_ = Cut(slopes_[0].data, fragment_bytes);
    item_.broadcasts = {{small_, shape.broadcast()}};
    for (const Output& output : program.graph.outputs) {
      if (output.summed) continue;
      results_.outputs.emplace_back(
          num_elements * ItemSizeBytes(program.storage), '?');
    }
    for (std::string& output : results_.outputs) {
      item_.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
    }
  }

  const WorkItem& item() const { return item_; }
  // The difference of what `done`, a copy of item() that was run, has led to.
  std::string Wrong(const WorkItem& done) {
    results_.sums = done.sums;
    if (want_.outputs.empty()) {
      want_ = RunReference(program_, inputs_, item_.parameters, item_.rows,
                           slopes_);
    }
    return Difference(program_, results_, want_);
  }
  // Runs it alone.
  std::string WrongOn(Device& device) {
    WorkItem item = item_;
    const auto compiled = device.Compile(program_);
    if (!compiled.ok()) return compiled.status().ToString();
    const absl::Status ran = device.Run(**compiled, absl::MakeSpan(&item, 1));
    return ran.ok() ? Wrong(item) : ran.ToString();
  }

 private:
  static std::vector<Fragment> Cut(const std::string& tensor,
                                   int64_t fragment_bytes) {
    std::vector<Fragment> fragments;
    for (size_t at = 0; at < tensor.size(); at += fragment_bytes) {
      fragments.push_back(
          {reinterpret_cast<const std::byte*>(tensor.data()) + at,
           std::min<size_t>(fragment_bytes, tensor.size() - at)});
    }
    return fragments;
  }

  const LoweredProgram& program_;
  const std::vector<BroadcastTensor> slopes_;
  std::vector<std::string> inputs_;
  std::vector<std::vector<Fragment>> fragments_;
  std::vector<Fragment> small_;
  Results results_;
  Results want_;
  WorkItem item_;
};

class DeviceConformanceBroadcastsOfType
    : public ::testing::TestWithParam<std::tuple<DeviceRow, DType>> {
 protected:
  void SetUp() override {
    const std::string reason = std::get<0>(GetParam()).why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Devices, DeviceConformanceBroadcastsOfType,
    ::testing::Combine(::testing::ValuesIn(AllDevices()),
                       ::testing::Values(DType::kFloat16, DType::kBFloat16,
                                         DType::kFloat32, DType::kFloat64)),
    [](const auto& info) {
      return absl::StrCat(std::get<0>(info.param).name, "_",
                          std::string(DTypeName(std::get<1>(info.param))));
    });

TEST_P(DeviceConformanceBroadcastsOfType, EqualTheInterpreter) {
  const auto& [row, dtype] = GetParam();
  const auto device = MakeWay(row.ways[0]);
  const std::vector<Shape> shapes = {
      {{{700, false}}},
      {{{9000, true}}},
      {{{1, true}}},
      {{{0, true}, {3, false}}},
      {{{3, false}, {0, true}}},
      {{{300, true}, {3, false}}},
      {{{130, true}, {50, false}}},
      {{{70, true}, {5, false}, {9, true}}},
      {{{3, true}, {40, false}, {49, true}}},
      {{{2, true}, {3, false}, {5000, true}}},
      {{{2, false}, {130, true}, {30, false}}},
      {{{3, true}, {2, false}, {97, true}, {2, false}, {3, true}}},
      {{{3, false}, {2, true}, {2, false}, {5, true}, {40, false}, {7, true}}}};
  for (const char* text : {kAffine, kNoisy}) {
    for (const LoweredProgram& program : ForwardAndBackward(text, dtype)) {
      for (const Shape& shape : shapes) {
        EXPECT_EQ(Request(program, shape, 1).WrongOn(*device), "")
            << shape.broadcast().num_read() << " elements, "
            << shape.broadcast().num_elements() << " slopes, "
            << program.graph.outputs[0].name << " of\n"
            << text;
      }
    }
  }
}

TEST_P(DeviceConformanceBroadcastsOfType, OfRowsEqualTheInterpreter) {
  const auto& [row, dtype] = GetParam();
  const auto device = MakeWay(row.ways[0]);
  // Along rows, across them, and neither.
  const std::vector<Shape> shapes = {
      {{{70, true}, {50, false}}, {50, 1}},
      {{{70, false}, {50, true}}, {50, 1}},
      {{{3, true}, {1500, false}}, {1500, 1}},
      {{{2, true}, {17000, false}}, {17000, 1}},
      {{{6, true}, {50, false}, {4, true}}, {50, 4}},
      {{{6, false}, {50, true}, {4, false}}, {50, 4}},
      {{{10, true}, {3, false}, {100, true}}, {50, 1}}};
  for (const LoweredProgram& program : ForwardAndBackward(kNorm, dtype)) {
    for (const Shape& shape : shapes) {
      EXPECT_EQ(Request(program, shape, 1).WrongOn(*device), "")
          << shape.broadcast().num_read() << " elements, "
          << shape.broadcast().num_elements() << " slopes, "
          << program.graph.outputs[0].name;
    }
  }
}

class DeviceConformanceBroadcasts : public ::testing::TestWithParam<DeviceRow> {
 protected:
  void SetUp() override {
    const std::string reason = GetParam().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformanceBroadcasts,
                         ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DeviceConformanceBroadcasts, RandomShapesEqualTheInterpreter) {
  const auto device = MakeWay(GetParam().ways[1]);
  const auto programs = ForwardAndBackward(kAffine, DType::kBFloat16);
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    Shape shape;
    int64_t num_elements = 1;
    std::string name;
    for (uint32_t d = random() % 7; d < 7; ++d) {
      // Mostly few, at times many.
      const int64_t size = 1 + random() % (random() % 4 == 0 ? 200 : 9);
      if (num_elements * size > 20'000) continue;
      num_elements *= size;
      shape.dimensions.push_back({size, random() % 2 == 0});
      absl::StrAppend(&name, size,
                      shape.dimensions.back().repeated ? "r " : " ");
    }
    for (const LoweredProgram& program : programs) {
      EXPECT_EQ(Request(program, shape, i).WrongOn(*device), "")
          << name << program.graph.outputs[0].name;
    }
  }
}

TEST_P(DeviceConformanceBroadcasts, EveryWayGivesTheSameBits) {
  // Cut by a device that cuts; too long for that; with as many slopes as there
  // are elements; of rows.
  const std::vector<Shape> shapes = {{{{4, true}, {25, false}, {3000, true}}},
                                     {{{3000, true}, {100, false}}},
                                     {{{100, false}, {10, true}, {300, false}}},
                                     {{{300'000, false}}},
                                     {{{3000, true}, {100, false}}, {100, 1}}};
  std::vector<std::unique_ptr<Device>> devices;
  for (const DeviceRow::Way& way : GetParam().ways) {
    devices.push_back(MakeWay(way));
  }
  for (const Shape& shape : shapes) {
    for (const LoweredProgram& program : ForwardAndBackward(
             shape.rows.size > 1 ? kNorm : kNoisy, DType::kFloat32)) {
      Request request(program, shape, 1);
      for (size_t w = 0; w < devices.size(); ++w) {
        EXPECT_EQ(request.WrongOn(*devices[w]), "")
            << GetParam().ways[w].name << ", "
            << shape.broadcast().num_elements() << " slopes, "
            << program.graph.outputs[0].name;
      }
    }
  }
}

TEST_P(DeviceConformanceBroadcasts, ItemsOfOneRunHaveShapesOfTheirOwn) {
  const std::vector<Shape> shapes = {{{{10, true}, {100, false}}},
                                     {{{7, false}, {3, true}}},
                                     {{{3, false}, {0, true}}},
                                     {{{30, true}, {10'000, false}}},
                                     {{{2000, true}}},
                                     {{{10, true}, {100, false}}}};
  // Small chunks, on a device that has them.
  const auto device = MakeWay(GetParam().ways[1]);
  for (const LoweredProgram& program :
       ForwardAndBackward(kAffine, DType::kFloat32)) {
    const auto compiled = device->Compile(program);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    std::vector<std::unique_ptr<Request>> requests;
    std::vector<WorkItem> items;
    for (const Shape& shape : shapes) {
      requests.push_back(
          std::make_unique<Request>(program, shape, 5 * items.size(), 4097));
      items.push_back(requests.back()->item());
    }

    ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(items)).ok());

    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(requests[i]->Wrong(items[i]), "") << "item " << i;
    }
  }
}

// A Backward by them would need the tensors that broadcast as well.
TEST_P(DeviceConformanceBroadcasts, InputsAreNotKept) {
  const auto device = MakeWay(GetParam().ways[0]);
  const auto programs = ForwardAndBackward(kAffine, DType::kFloat32);
  Request request(programs[0], {{{10, true}, {100, false}}}, 1);
  WorkItem item = request.item();
  item.keep_inputs = true;
  const auto forward = device->Compile(programs[0]);
  ASSERT_TRUE(forward.ok()) << forward.status();

  ASSERT_TRUE(device->Run(**forward, absl::MakeSpan(&item, 1)).ok());

  EXPECT_EQ(item.kept, nullptr);
  EXPECT_EQ(request.Wrong(item), "");
}

}  // namespace
}  // namespace actserve
