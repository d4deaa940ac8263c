// DeviceConformance, tensors that are parts of others: every device gives the
// bits that it gives for the same parts as tensors of their own, by the
// interpreter.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/device/testing/devices.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"

namespace actserve {
namespace {

using ::actserve::testing::AllDevices;
using ::actserve::testing::DeviceRow;
using ::actserve::testing::Difference;
using ::actserve::testing::OrdinaryTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunReference;

constexpr char kGate[] =
    "def gate(a, b, t=0.75):\n"
    "    return a * sigmoid(t * b) if a > b else t * b\n";
constexpr char kThree[] =
    "def three(a, b, c, t=0.5):\n"
    "    return a * tanh(b) + t * c * c\n";
constexpr char kNoisy[] =
    "def noisy(a, b, t=0.5, seed=7):\n"
    "    return a * b + t * normal(seed)\n";
constexpr char kRows[] =
    "def rows(a, b, t=1.5):\n"
    "    return a * sigmoid(t * b) / (1 + rowmax(b * b)) - rowsum(a) / 7\n";

// A tensor that is cut into equal parts along an axis.
struct Cut {
  std::vector<int64_t> shape;
  int axis;
  int num_parts;

  int64_t Product(size_t first, size_t end) const {
    int64_t product = 1;
    for (size_t i = first; i < end; ++i) product *= shape[i];
    return product;
  }
  int64_t inner() const { return Product(axis + 1, shape.size()); }
  int64_t num_elements() const { return Product(0, shape.size()); }
  TensorPart Part(int p) const {
    const int64_t run = std::max<int64_t>(1, shape[axis] / num_parts * inner());
    return {.run = run, .stride = run * num_parts, .offset = run * p};
  }
};

// Element by element, by its index along the axis.
std::vector<std::string> PartsOf(const Cut& cut, const std::string& tensor) {
  std::vector<std::string> parts(cut.num_parts);
  if (tensor.empty()) return parts;
  const size_t item_size = tensor.size() / cut.num_elements();
  for (int64_t e = 0; e < cut.num_elements(); ++e) {
    const int64_t index = e / cut.inner() % cut.shape[cut.axis];
    parts[index / (cut.shape[cut.axis] / cut.num_parts)] +=
        tensor.substr(e * item_size, item_size);
  }
  return parts;
}

// Every axis of tensors of one to four dimensions, whose runs are short, long,
// and of neither whole cache lines nor whole tiles.
std::vector<Cut> Cuts(int num_parts) {
  const int64_t n = num_parts;
  std::vector<Cut> cuts;
  const std::vector<int64_t> shapes[] = {
      {n},          {n * 5000},      {n * 2, n * 3},     {n * 7, 0},
      {n, 700},     {700, n},        {30, n * 300},      {5, n * 3, 129},
      {2, 3, n, 1}, {2, n, 1025, 3}, {3, 2, 4, n * 640},
  };
  for (const std::vector<int64_t>& shape : shapes) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] % n != 0) continue;
      cuts.push_back({shape, static_cast<int>(axis), num_parts});
    }
  }
  return cuts;
}

// Cuts that no element respects.
std::vector<Fragment> RandomFragments(const std::string& bytes,
                                      std::mt19937& random) {
  std::vector<Fragment> fragments;
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  for (size_t at = 0; at < bytes.size();) {
    const size_t most = random() % 2 == 0 ? 40 : 20'000;
    const size_t size = std::min(bytes.size() - at, 1 + random() % most);
    fragments.push_back({data + at, size});
    at += size;
  }
  return fragments;
}

class Parts : public ::testing::TestWithParam<DeviceRow> {
 protected:
  void SetUp() override {
    const std::string reason = GetParam().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  // Compares `program`, whose first inputs are parts, as its first outputs are
  // if `has_gradients`.
  void ExpectSameAsSeparate(const LoweredProgram& program,
                            const std::vector<double>& parameters,
                            const Cut& cut, bool has_gradients,
                            const Rows& rows) {
    const int64_t num_elements = cut.num_elements() / cut.num_parts;
    const std::string whole =
        OrdinaryTensor(program.storage, cut.num_elements(), ++seed_);
    const std::string upstream =
        OrdinaryTensor(program.storage, num_elements, ++seed_);
    std::vector<std::string> separate = PartsOf(cut, whole);
    if (has_gradients) separate.push_back(upstream);
    const Results want = RunReference(program, separate, parameters, rows);
    const size_t num_outputs = want.outputs.size();
    for (const DeviceRow::Way& way : GetParam().ways) {
      SCOPED_TRACE(way.name);
      auto device = way.make({.cache_directory = directory_.path()});
      ASSERT_TRUE(device.ok()) << device.status();
      const auto compiled = (*device)->Compile(program);
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      const std::vector<Fragment> one = {
          {reinterpret_cast<const std::byte*>(whole.data()), whole.size()}};
      for (const bool in_fragments : {false, true}) {
        const std::vector<Fragment> of_whole =
            in_fragments ? RandomFragments(whole, random_) : one;
        const std::vector<Fragment> of_upstream =
            RandomFragments(upstream, random_);
        std::string gradient(whole.size(), '\1');
        std::vector<std::string> outputs(
            num_outputs,
            std::string(num_elements * ItemSizeBytes(program.storage), '\1'));
        WorkItem item;
        for (int p = 0; p < cut.num_parts; ++p) {
          item.inputs.emplace_back(of_whole);
          item.input_parts.push_back(cut.Part(p));
          if (!has_gradients) continue;
          item.output_parts.push_back(cut.Part(p));
          item.outputs.push_back(reinterpret_cast<std::byte*>(gradient.data()));
        }
        if (has_gradients) item.inputs.emplace_back(of_upstream);
        for (size_t o = item.outputs.size(); o < num_outputs; ++o) {
          item.outputs.push_back(
              reinterpret_cast<std::byte*>(outputs[o].data()));
        }
        item.parameters = parameters;
        item.num_elements = num_elements;
        item.rows = rows;

        const absl::Status status =
            (*device)->Run(**compiled, absl::MakeSpan(&item, 1));

        ASSERT_TRUE(status.ok()) << status;
        const std::vector<std::string> parts = PartsOf(cut, gradient);
        if (has_gradients) std::ranges::copy(parts, outputs.begin());
        EXPECT_EQ(Difference(program, {outputs, item.sums}, want), "");
      }
    }
  }

  void ExpectSameAsSeparate(const char* text, int num_parts,
                            const std::vector<double>& parameters,
                            DType dtype) {
    const auto activation = Activation::Create(text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    std::vector<std::string> wrt = (*activation)->inputs();
    wrt.push_back("t");
    const auto forward = (*activation)->LowerForward(dtype, {});
    const auto backward = (*activation)->LowerBackward(dtype, wrt);
    ASSERT_TRUE(forward.ok() && backward.ok());
    for (const Cut& cut : Cuts(num_parts)) {
      SCOPED_TRACE(absl::StrCat("[", absl::StrJoin(cut.shape, ", "), "] of ",
                                std::string(DTypeName(dtype)), " along ",
                                cut.axis));
      Rows rows;
      if ((*activation)->reads_rows()) {
        // A launch of rows takes long over the fake driver.
        if (GetParam().program_stride > 1 && cut.num_elements() > 2000)
          continue;
        // Along the first axis of a part.
        rows.size = cut.shape[0] / (cut.axis == 0 ? num_parts : 1);
        rows.stride = std::max<int64_t>(1, cut.num_elements() / num_parts /
                                               std::max<int64_t>(1, rows.size));
      }
      ExpectSameAsSeparate(*forward, parameters, cut, false, rows);
      ExpectSameAsSeparate(*backward, parameters, cut, true, rows);
    }
  }

  const testing::ScratchDirectory directory_;
  uint32_t seed_ = 0;
  std::mt19937 random_{20260};
};

INSTANTIATE_TEST_SUITE_P(Devices, Parts, ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

TEST_P(Parts, GiveTheBitsOfSeparateTensors) {
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    ExpectSameAsSeparate(kGate, 2, {0.75}, dtype);
  }
}

TEST_P(Parts, MayBeThree) {
  ExpectSameAsSeparate(kThree, 3, {0.5}, DType::kFloat32);
}

TEST_P(Parts, CountTheirOwnElementsForDraws) {
  ExpectSameAsSeparate(kNoisy, 2, {0.5, 7}, DType::kFloat32);
}

TEST_P(Parts, HaveRows) {
  ExpectSameAsSeparate(kRows, 2, {1.5}, DType::kFloat32);
  ExpectSameAsSeparate(kRows, 2, {1.5}, DType::kBFloat16);
}

TEST_P(Parts, ShareABatchWithWholeTensors) {
  const auto device = GetParam().ways[0].make({});
  const auto activation =
      Activation::Create("def f(a, b):\n    return a - b\n", {}, nullptr);
  const auto program =
      (*device)->Compile(*(*activation)->LowerForward(DType::kFloat32, {}));
  ASSERT_TRUE(program.ok()) << program.status();
  const std::vector<float> x = {1, 2, 10, 20};
  std::vector<float> of_rows(2), of_columns(2), of_whole(4);
  const std::vector<Fragment> fragments = {
      {reinterpret_cast<const std::byte*>(x.data()), 16}};
  std::vector<WorkItem> items(3);
  for (WorkItem& item : items) {
    item.inputs = {fragments, fragments};
    item.num_elements = 2;
  }
  items[0].input_parts = {{2, 4, 0}, {2, 4, 2}};
  items[0].outputs = {reinterpret_cast<std::byte*>(of_rows.data())};
  items[1].num_elements = 4;
  items[1].outputs = {reinterpret_cast<std::byte*>(of_whole.data())};
  items[2].input_parts = {{1, 2, 0}, {1, 2, 1}};
  items[2].outputs = {reinterpret_cast<std::byte*>(of_columns.data())};

  const absl::Status status = (*device)->Run(**program, absl::MakeSpan(items));

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(of_rows, (std::vector<float>{-9, -18}));
  EXPECT_EQ(of_whole, (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(of_columns, (std::vector<float>{-1, -10}));
}

TEST_P(Parts, AreRefusedIfTheyAreNone) {
  const auto device = GetParam().ways[0].make({});
  const auto activation = Activation::Create(kGate, {}, nullptr);
  const auto program =
      (*device)->Compile(*(*activation)->LowerForward(DType::kFloat32, {}));
  ASSERT_TRUE(program.ok()) << program.status();
  struct Case {
    const char* message;
    std::vector<TensorPart> parts;
  };
  const Case kCases[] = {
      {"inputs: 3 parts, but the program takes 2", {{}, {}, {}}},
      {"inputs: a part of 4 elements, 3 of every 6 from 0 on, is none of a "
       "tensor",
       {{.run = 3, .stride = 6}}},
      {"inputs: a part of 4 elements, 2 of every 4 from 3 on, is none of a "
       "tensor",
       {{.run = 2, .stride = 4, .offset = 3}}},
      {"input 0: 32 bytes for 4 elements, want 48",
       {{.run = 2, .stride = 6, .offset = 2}}},
  };
  const std::string tensor(32, '\0');
  std::string output(16, '\0');
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.message);
    const std::vector<Fragment> fragments = {
        {reinterpret_cast<const std::byte*>(tensor.data()), tensor.size()}};
    WorkItem item;
    item.inputs = {fragments, fragments};
    item.input_parts = test.parts;
    item.outputs = {reinterpret_cast<std::byte*>(output.data())};
    item.parameters = {1};
    item.num_elements = 4;

    const absl::Status status =
        (*device)->Run(**program, absl::MakeSpan(&item, 1));

    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), test.message);
  }
}

}  // namespace
}  // namespace actserve
