// DeviceConformance, the numbers: every device against the interpreter, bit for
// bit, and every way of a device against its others.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/testing/devices.h"
#include "kernels/device/testing/programs.h"
#include "kernels/device/testing/reference.h"
#include "kernels/device/testing/scratch_directory.h"
#include "kernels/graph/testing/random_program.h"

namespace actserve {
namespace {

using ::actserve::testing::AllDevices;
using ::actserve::testing::DeviceRow;
using ::actserve::testing::Difference;
using ::actserve::testing::MakeProgram;
using ::actserve::testing::OpGraph;
using ::actserve::testing::RandomTensor;
using ::actserve::testing::Results;
using ::actserve::testing::RunOnDevice;
using ::actserve::testing::RunReference;

constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                             DType::kFloat64};

// The tests share compiled objects: compiling is most of their time.
const std::string& CacheDirectory() {
  static const testing::ScratchDirectory directory;
  return directory.path();
}

std::unique_ptr<Device> MakeWay(const DeviceRow::Way& way) {
  auto device = way.make({.cache_directory = CacheDirectory()});
  EXPECT_TRUE(device.ok()) << way.name << ": " << device.status();
  return device.ok() ? *std::move(device) : nullptr;
}

// What tests of a device have, whatever their parameter is.
class OnDevice {
 protected:
  explicit OnDevice(DeviceRow row, int first_program = 0)
      : row_(std::move(row)), num_programs_(first_program) {}

  const DeviceRow& row() const { return row_; }
  std::unique_ptr<Device> MakeDevice() { return MakeWay(row_.ways[0]); }
  // Whether the next of many like programs is among those that are tried.
  bool TakesNext() { return num_programs_++ % row_.program_stride == 0; }

 private:
  const DeviceRow row_;
  int num_programs_;
};

class DeviceConformanceNumbers : public OnDevice,
                                 public ::testing::TestWithParam<DeviceRow> {
 protected:
  DeviceConformanceNumbers() : OnDevice(GetParam()) {}
  void SetUp() override {
    const std::string reason = row().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformanceNumbers,
                         ::testing::ValuesIn(AllDevices()),
                         [](const auto& info) { return info.param.name; });

// Tests of many programs, a type each, so that processes can share them out.
class DeviceConformanceOfType
    : public OnDevice,
      public ::testing::TestWithParam<std::tuple<DeviceRow, DType>> {
 protected:
  // Where not all programs are tried, others of each type.
  DeviceConformanceOfType()
      : OnDevice(std::get<0>(GetParam()),
                 4 * static_cast<int>(std::get<1>(GetParam()))) {}
  void SetUp() override {
    const std::string reason = row().why_not();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  const DType dtype_ = std::get<1>(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformanceOfType,
                         ::testing::Combine(::testing::ValuesIn(AllDevices()),
                                            ::testing::ValuesIn(kDTypes)),
                         [](const auto& info) {
                           return absl::StrCat(
                               std::get<0>(info.param).name, "_",
                               std::string(DTypeName(std::get<1>(info.param))));
                         });

std::vector<std::string> RandomInputs(const LoweredProgram& program,
                                      int64_t num_elements, uint32_t seed) {
  std::vector<std::string> inputs;
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    inputs.push_back(
        RandomTensor(program.storage, num_elements, seed * 10 + i));
  }
  return inputs;
}

std::vector<double> Defaults(const LoweredProgram& program) {
  std::vector<double> parameters;
  for (const Parameter& parameter : program.graph.parameters) {
    parameters.push_back(parameter.default_value);
  }
  return parameters;
}

bool IsLeaf(Op op) {
  return op == Op::kInput || op == Op::kParameter || op == Op::kConstant ||
         op == Op::kBool || op == Op::kDeclared;
}

TEST_P(DeviceConformanceOfType, EveryOpEqualsTheInterpreter) {
  // For different processors there is different code.
  std::vector<std::unique_ptr<Device>> devices;
  for (const DeviceRow::Way& way : row().ways) {
    if (way.name == "default" || way.name == "AVX2") {
      devices.push_back(MakeWay(way));
    }
  }
  for (const OpInfo& info : AllOps()) {
    if (IsLeaf(info.op) || info.reads_row || !TakesNext()) continue;
    SCOPED_TRACE(std::string(info.name));
    const LoweredProgram program =
        MakeProgram(std::string(info.name), OpGraph(info.op), dtype_);
    const auto inputs = RandomInputs(program, 3000, 1);

    const Results want = RunReference(program, inputs, {});

    for (const auto& device : devices) {
      EXPECT_EQ(
          Difference(program, RunOnDevice(*device, program, inputs, {}), want),
          "");
    }
  }
}

// `item` of `tensor`'s elements from `begin` on, as a request of its own.
struct Piece {
  Piece(const LoweredProgram& program, const std::vector<std::string>& inputs,
        int64_t begin, int64_t count) {
    const int64_t item_size = ItemSizeBytes(program.storage);
    // Two fragments each; elements straddle them.
    for (const std::string& input : inputs) {
      const auto* const data =
          reinterpret_cast<const std::byte*>(input.data()) + begin * item_size;
      const size_t bytes = count * item_size;
      fragments.push_back(
          {{data, bytes / 3}, {data + bytes / 3, bytes - bytes / 3}});
    }
    for (const auto& both : fragments) item.inputs.emplace_back(both);
    for (const Output& output : program.graph.outputs) {
      if (!output.summed) outputs.emplace_back(count * item_size, '?');
    }
    for (std::string& output : outputs) {
      item.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
    }
    item.parameters = Defaults(program);
    item.num_elements = count;
    item.element_offset = begin;
  }
  Piece(const Piece&) = delete;

  std::vector<std::vector<Fragment>> fragments;
  std::vector<std::string> outputs;
  WorkItem item;
};

// Draws depend on the place of an element in its own tensor: not on threads,
// chunks, fragments or the other items of a batch, and a tensor that comes in
// pieces has the draws of the whole.
TEST_P(DeviceConformanceOfType, DrawsAreThoseOfThePlaceHoweverATensorIsCut) {
  constexpr int64_t kCount = 70'001;
  for (const std::string_view text : testing::kDrawTexts) {
    SCOPED_TRACE(std::string(text));
    const auto activation = Activation::Create(text, {}, nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    const std::vector<std::string> names = (*activation)->inputs();
    for (const auto& program : {(*activation)->LowerForward(dtype_, names),
                                (*activation)->LowerBackward(dtype_, names)}) {
      ASSERT_TRUE(program.ok()) << program.status();
      const auto inputs = RandomInputs(*program, kCount, 3);
      const Results want = RunReference(*program, inputs, Defaults(*program));
      for (const DeviceRow::Way& way : row().ways) {
        SCOPED_TRACE(way.name);
        const auto device = MakeWay(way);
        const auto compiled = device->Compile(*program);
        ASSERT_TRUE(compiled.ok()) << compiled.status();

        const Results whole =
            RunOnDevice(*device, *program, inputs, Defaults(*program));
        Piece first(*program, inputs, 0, 33'333);
        Piece second(*program, inputs, 33'333, kCount - 33'333);
        std::vector<WorkItem> items = {second.item, first.item};
        const absl::Status ran = device->Run(**compiled, absl::MakeSpan(items));

        EXPECT_EQ(Difference(*program, whole, want), "");
        ASSERT_TRUE(ran.ok()) << ran;
        for (size_t o = 0; o < want.outputs.size(); ++o) {
          EXPECT_EQ(Difference(dtype_, first.outputs[o] + second.outputs[o],
                               want.outputs[o]),
                    "");
        }
      }
    }
  }
}

TEST_P(DeviceConformanceNumbers, RefusesWhatIsNoSeedAndNoPlace) {
  const auto activation =
      Activation::Create(testing::kDrawTexts[0], {}, nullptr);
  const auto program = (*activation)->LowerForward(DType::kFloat32, {});
  const auto device = MakeDevice();
  const auto compiled = device->Compile(*program);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const std::vector<std::string> x = {std::string(8, '\0')};
  const auto run = [&](double seed, int64_t element_offset) {
    Piece piece(*program, x, 0, 2);
    piece.item.parameters[1] = seed;
    piece.item.element_offset = element_offset;
    return device->Run(**compiled, absl::MakeSpan(&piece.item, 1)).code();
  };

  EXPECT_EQ(run(0x1p53, INT64_MAX - 2), absl::StatusCode::kOk);
  for (const double seed : {-1.0, 0.5, 0x1p53 + 2, HUGE_VAL}) {
    EXPECT_EQ(run(seed, 0), absl::StatusCode::kInvalidArgument) << seed;
  }
  for (const int64_t offset : {INT64_C(-1), INT64_MAX - 1}) {
    EXPECT_EQ(run(0, offset), absl::StatusCode::kInvalidArgument) << offset;
  }
}

struct CatalogProgram {
  std::string name;
  LoweredProgram lowered;
};

// Every built-in activation, forward, with partials, and backward.
std::vector<CatalogProgram> CatalogPrograms(DType dtype) {
  std::vector<CatalogProgram> programs;
  const auto add = [&](std::string name, absl::StatusOr<LoweredProgram> p) {
    if (p.ok()) {
      programs.push_back({std::move(name), *std::move(p)});
    } else {
      ADD_FAILURE() << name << ": " << p.status();
    }
  };
  for (const CatalogEntry& entry : Catalog()) {
    auto activation =
        Activation::Create(entry.text, Activation::Options(), nullptr);
    if (!activation.ok()) {
      ADD_FAILURE() << activation.status();
      continue;
    }
    const std::string name(entry.name);
    std::vector<std::string> everything = (*activation)->inputs();
    for (const Parameter& parameter : (*activation)->parameters()) {
      everything.push_back(parameter.name);
    }
    add(name + " forward", (*activation)->LowerForward(dtype, {}));
    if (!(*activation)->reads_rows()) {
      add(name + " partials",
          (*activation)->LowerForward(dtype, (*activation)->inputs()));
    }
    add(name + " backward",
        (*activation)->LowerBackward(dtype, (*activation)->inputs()));
    add(name + " backward of everything",
        (*activation)->LowerBackward(dtype, everything));
  }
  return programs;
}

TEST_P(DeviceConformanceOfType, EveryBuiltInEqualsTheInterpreter) {
  const auto device = MakeDevice();
  for (const CatalogProgram& program : CatalogPrograms(dtype_)) {
    if (!TakesNext()) continue;
    SCOPED_TRACE(program.name);
    const bool has_rows = program.lowered.graph.HasRows();
    const auto inputs = RandomInputs(program.lowered, 2000, 2);
    const auto parameters = Defaults(program.lowered);
    const Rows rows = {.size = has_rows ? 40 : 1};

    EXPECT_EQ(
        Difference(
            program.lowered,
            RunOnDevice(*device, program.lowered, inputs, parameters, rows),
            RunReference(program.lowered, inputs, parameters, rows)),
        "");
  }
}

TEST_P(DeviceConformanceNumbers, RandomProgramsEqualTheInterpreter) {
  const auto device = MakeDevice();
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    if (!TakesNext()) continue;
    testing::RandomProgramOptions options;
    options.num_inputs = 1 + seed % 3;
    options.num_parameters = seed % 2;
    const std::string text = testing::RandomProgram(seed, options);
    SCOPED_TRACE(absl::StrCat("seed ", seed, ":\n", text));
    auto activation = Activation::Create(text, Activation::Options(), nullptr);
    ASSERT_TRUE(activation.ok()) << activation.status();
    const DType dtype = kDTypes[seed % 4];
    std::vector<std::string> everything = (*activation)->inputs();
    for (const Parameter& parameter : (*activation)->parameters()) {
      everything.push_back(parameter.name);
    }
    for (const auto& lowered :
         {(*activation)->LowerForward(dtype, {}),
          (*activation)->LowerBackward(dtype, everything)}) {
      ASSERT_TRUE(lowered.ok()) << lowered.status();
      const auto inputs = RandomInputs(*lowered, 500, seed);
      const auto parameters = Defaults(*lowered);

      EXPECT_EQ(Difference(*lowered,
                           RunOnDevice(*device, *lowered, inputs, parameters),
                           RunReference(*lowered, inputs, parameters)),
                "");
    }
  }
}

// A few programs that between them have every form of input and output.
std::vector<CatalogProgram> SomePrograms() {
  std::vector<CatalogProgram> programs;
  for (DType dtype : kDTypes) {
    for (CatalogProgram& program : CatalogPrograms(dtype)) {
      for (const char* name : {"silu ", "prelu ", "spiky "}) {
        if (program.name.find(name) == 0) {
          program.name += absl::StrCat(" ", std::string(DTypeName(dtype)));
          programs.push_back(std::move(program));
          break;
        }
      }
    }
  }
  return programs;
}

TEST_P(DeviceConformanceNumbers, EveryWayGivesTheSameBits) {
  const std::vector<CatalogProgram> programs = SomePrograms();
  const auto plain = MakeDevice();
  for (const DeviceRow::Way& way : row().ways) {
    if (way.name == "default") continue;
    const auto device = MakeWay(way);
    for (const CatalogProgram& program : programs) {
      for (int64_t count : {0, 1, 63, 64, 65, 4095, 4096, 4097, 100'003}) {
        SCOPED_TRACE(absl::StrCat(way.name, ", ", program.name, ", ", count));
        const auto inputs = RandomInputs(program.lowered, count, 3);
        const auto parameters = Defaults(program.lowered);

        EXPECT_EQ(Difference(
                      program.lowered,
                      RunOnDevice(*device, program.lowered, inputs, parameters),
                      RunOnDevice(*plain, program.lowered, inputs, parameters)),
                  "");
      }
    }
  }
}

TEST_P(DeviceConformanceNumbers, AMillionElementsEqualTheInterpreter) {
  const auto device = MakeDevice();
  for (const CatalogProgram& program : SomePrograms()) {
    if (program.name != "prelu backward of everything float32") continue;
    const auto inputs = RandomInputs(program.lowered, 1'000'003, 4);
    const auto parameters = Defaults(program.lowered);

    EXPECT_EQ(
        Difference(program.lowered,
                   RunOnDevice(*device, program.lowered, inputs, parameters),
                   RunReference(program.lowered, inputs, parameters)),
        "");
  }
}

TEST_P(DeviceConformanceNumbers, FragmentsDoNotShow) {
  std::mt19937 random(5);
  const auto device = MakeWay(row().ways[2]);
  for (const CatalogProgram& program : SomePrograms()) {
    SCOPED_TRACE(program.name);
    const int64_t count = 30'011;
    const auto inputs = RandomInputs(program.lowered, count, 6);
    const auto parameters = Defaults(program.lowered);
    const Results want =
        RunOnDevice(*device, program.lowered, inputs, parameters);
    Results got = want;
    WorkItem item;
    item.num_elements = count;
    item.parameters = parameters;
    std::vector<std::vector<Fragment>> fragments(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (size_t at = 0; at < inputs[i].size();) {
        const size_t size = std::min<size_t>(
            inputs[i].size() - at, random() % (random() % 2 == 0 ? 9 : 9000));
        fragments[i].push_back(
            {reinterpret_cast<const std::byte*>(inputs[i].data()) + at, size});
        at += size;
      }
      item.inputs.push_back(fragments[i]);
    }
    for (std::string& output : got.outputs) {
      output.assign(output.size(), '?');
      item.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
    }

    const auto compiled = device->Compile(program.lowered);
    ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(&item, 1)).ok());

    got.sums = item.sums;
    EXPECT_EQ(Difference(program.lowered, got, want), "");
  }
}

TEST_P(DeviceConformanceNumbers, AlignmentDoesNotShow) {
  for (const DeviceRow::Way& way : row().ways) {
    const auto device = MakeWay(way);
    for (const CatalogProgram& program : SomePrograms()) {
      SCOPED_TRACE(program.name);
      const auto inputs = RandomInputs(program.lowered, 5003, 7);
      const auto parameters = Defaults(program.lowered);
      const Results want =
          RunOnDevice(*device, program.lowered, inputs, parameters);
      const auto compiled = device->Compile(program.lowered);
      for (int offset : {1, 2, 4, 7, 32}) {
        WorkItem item;
        item.num_elements = 5003;
        item.parameters = parameters;
        std::vector<std::string> moved;
        std::vector<Fragment> fragments;
        for (const std::string& input : inputs) {
          moved.push_back(std::string(offset, '?') + input);
        }
        for (const std::string& input : moved) {
          fragments.push_back(
              {reinterpret_cast<const std::byte*>(input.data()) + offset,
               input.size() - offset});
        }
        for (const Fragment& fragment : fragments) {
          item.inputs.push_back(absl::MakeConstSpan(&fragment, 1));
        }
        std::vector<std::string> outputs;
        for (const std::string& output : want.outputs) {
          outputs.emplace_back(output.size() + offset + 8, '?');
        }
        for (std::string& output : outputs) {
          item.outputs.push_back(reinterpret_cast<std::byte*>(output.data()) +
                                 offset);
        }

        ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(&item, 1)).ok());

        Results got = want;
        got.sums = item.sums;
        for (size_t o = 0; o < outputs.size(); ++o) {
          const size_t size = want.outputs[o].size();
          got.outputs[o] = outputs[o].substr(offset, size);
          EXPECT_EQ(outputs[o].substr(0, offset), std::string(offset, '?'));
          EXPECT_EQ(outputs[o].substr(offset + size), "????????");
        }
        EXPECT_EQ(Difference(program.lowered, got, want), "") << offset;
      }
    }
  }
}

// All values of a 16-bit type, and enough of them that a table is worth it.
std::string EveryValue() {
  std::string tensor;
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (int value = 0; value < 65536; ++value) {
      tensor.push_back(static_cast<char>(value & 0xff));
      tensor.push_back(static_cast<char>(value >> 8));
    }
  }
  return tensor;
}

TEST_P(DeviceConformanceNumbers, TablesHoldWhatTheProgramGives) {
  std::vector<std::unique_ptr<Device>> devices;
  for (const DeviceRow::Way& way : row().ways) {
    if (way.name == "default" || absl::StrContains(way.name, "tables")) {
      devices.push_back(MakeWay(way));
    }
  }
  // The interpreter takes seconds for so many.
  const auto no_tables =
      CpuDevice::Create({.cache_directory = CacheDirectory(),
                         .table_threshold_elements = int64_t{1} << 60});
  ASSERT_TRUE(no_tables.ok()) << no_tables.status();
  for (DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const CatalogProgram& program : CatalogPrograms(dtype)) {
      if (program.lowered.rule == LoweredProgram::Rule::kDirect) continue;
      if (!TakesNext()) continue;
      SCOPED_TRACE(
          absl::StrCat(program.name, " ", std::string(DTypeName(dtype))));
      std::vector<std::string> inputs = {EveryValue()};
      if (program.lowered.num_tensor_inputs() == 2) {
        inputs.push_back(RandomTensor(dtype, 2 * 65536, 8));
      }
      const auto parameters = Defaults(program.lowered);

      const Results want =
          RunOnDevice(**no_tables, program.lowered, inputs, parameters);
      for (const auto& device : devices) {
        EXPECT_EQ(Difference(
                      program.lowered,
                      RunOnDevice(*device, program.lowered, inputs, parameters),
                      want),
                  "");
      }
    }
  }
}

TEST_P(DeviceConformanceNumbers, TablesBelongToTheirParameters) {
  Graph graph;
  graph.inputs = {"x"};
  graph.parameters = {{"slope", 1}};
  graph.outputs = {
      {"y", graph.Add(Op::kMul, graph.Input(0), graph.ParameterNode(0))}};
  const LoweredProgram program =
      MakeProgram("slope", std::move(graph), DType::kBFloat16);
  const std::vector<std::string> inputs = {
      RandomTensor(DType::kBFloat16, 1000, 9)};
  for (const DeviceRow::Way& way : row().ways) {
    const auto device = MakeWay(way);
    for (double slope : {0.3, 2.0, 0.3, -1.0}) {
      SCOPED_TRACE(absl::StrCat(way.name, ", ", slope));

      EXPECT_EQ(
          Difference(program, RunOnDevice(*device, program, inputs, {slope}),
                     RunReference(program, inputs, {slope})),
          "");
    }
  }
}

std::vector<Fragment> FragmentsOf(const std::vector<std::string>& tensors) {
  std::vector<Fragment> fragments;
  for (const std::string& tensor : tensors) {
    fragments.push_back(
        {reinterpret_cast<const std::byte*>(tensor.data()), tensor.size()});
  }
  return fragments;
}

// Items of many sizes, each with its own parameters, in one Run().
TEST_P(DeviceConformanceNumbers, NeighboursDoNotShow) {
  constexpr int64_t kCounts[] = {1,    0, 5,       4096, 64,  4097,
                                 8191, 7, 100'003, 3,    255, 20'000};
  for (const DeviceRow::Way& way : row().ways) {
    const auto device = MakeWay(way);
    for (const CatalogProgram& program : SomePrograms()) {
      SCOPED_TRACE(absl::StrCat(way.name, ", ", program.name));
      const LoweredProgram& lowered = program.lowered;
      const auto compiled = device->Compile(lowered);
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      constexpr size_t kNumItems = std::size(kCounts);
      std::vector<std::vector<std::string>> inputs(kNumItems);
      std::vector<std::vector<Fragment>> fragments(kNumItems);
      std::vector<Results> got(kNumItems);
      std::vector<WorkItem> items(kNumItems);
      for (size_t i = 0; i < kNumItems; ++i) {
        inputs[i] = RandomInputs(lowered, kCounts[i], 11 + i);
        fragments[i] = FragmentsOf(inputs[i]);
        for (const Fragment& fragment : fragments[i]) {
          items[i].inputs.push_back(absl::MakeConstSpan(&fragment, 1));
        }
        items[i].num_elements = kCounts[i];
        for (double value : Defaults(lowered)) {
          items[i].parameters.push_back(value + 0.125 * (i % 3));
        }
        for (const Output& output : lowered.graph.outputs) {
          if (output.summed) continue;
          got[i].outputs.emplace_back(
              kCounts[i] * ItemSizeBytes(lowered.storage), '?');
        }
        for (std::string& output : got[i].outputs) {
          items[i].outputs.push_back(
              reinterpret_cast<std::byte*>(output.data()));
        }
      }

      ASSERT_TRUE(device->Run(**compiled, absl::MakeSpan(items)).ok());

      for (size_t i = 0; i < kNumItems; ++i) {
        got[i].sums = items[i].sums;
        EXPECT_EQ(Difference(lowered, got[i],
                             RunOnDevice(*device, lowered, inputs[i],
                                         items[i].parameters)),
                  "")
            << "item " << i;
      }
    }
  }
}

}  // namespace
}  // namespace actserve
