#include "kernels/codegen/cuda/testing/shim_runs.h"

#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/codegen/cuda/sum_terms.h"
#include "kernels/graph/draws.h"

namespace actserve::testing {
namespace {

constexpr int64_t kAlignment = 256;
// Bytes behind every buffer that nothing may touch.
constexpr int64_t kGuardBytes = 64;
constexpr char kUntouched = '\x5a';

// "Device" memory at a chosen distance from an aligned address.
class Buffer {
 public:
  Buffer(int64_t size_bytes, int64_t offset_bytes)
      : size_bytes_(size_bytes),
        bytes_(size_bytes + offset_bytes + kAlignment + kGuardBytes,
               kUntouched) {
    const auto base = reinterpret_cast<uintptr_t>(bytes_.data());
    const uintptr_t aligned = (base + kAlignment - 1) / kAlignment * kAlignment;
    data_ = bytes_.data() + (aligned - base) + offset_bytes;
  }
  Buffer(const std::string& content, int64_t offset_bytes)
      : Buffer(static_cast<int64_t>(content.size()), offset_bytes) {
    std::memcpy(data_, content.data(), content.size());
  }
  Buffer(Buffer&&) = default;

  DeviceAddress address() const {
    return reinterpret_cast<DeviceAddress>(data_);
  }
  std::string content() const { return std::string(data_, size_bytes_); }
  bool GuardsUntouched() const {
    const char* const end = bytes_.data() + bytes_.size();
    for (const char* p = bytes_.data(); p < end; ++p) {
      const bool inside = p >= data_ && p < data_ + size_bytes_;
      if (!inside && *p != kUntouched) return false;
    }
    return true;
  }

 private:
  int64_t size_bytes_;
  std::vector<char> bytes_;
  char* data_;
};

// The memory of one request.
struct Memory {
  std::vector<Buffer> inputs;
  std::vector<Buffer> outputs;
  std::vector<Buffer> broadcasts;
  std::vector<std::vector<uint64_t>> levels;
  std::shared_ptr<Buffer> table;
  std::unique_ptr<Buffer> tile_sums;
  std::unique_ptr<Buffer> sums;
  std::unique_ptr<Buffer> scratch;
  LaunchSegment segment;
};

Memory Allocate(const LaunchLayout& layout, const LoweredProgram& program,
                const ShimRequest& request, const ShimOptions& options) {
  const int64_t item_size = ItemSizeBytes(program.storage);
  const int64_t offset = options.misalignment * item_size;
  const int64_t size_bytes = static_cast<int64_t>(request.inputs[0].size());
  Memory memory;
  LaunchSegment& segment = memory.segment;
  segment.num_elements = size_bytes / item_size;
  for (const std::string& input : request.inputs) {
    memory.inputs.emplace_back(input, offset);
    segment.inputs.push_back(memory.inputs.back().address());
  }
  for (int o = 0; o < layout.num_outputs(); ++o) {
    memory.outputs.emplace_back(size_bytes, offset);
    segment.outputs.push_back(memory.outputs.back().address());
  }
  const auto allocate = [](int64_t bytes, std::unique_ptr<Buffer>& buffer) {
    buffer = std::make_unique<Buffer>(bytes, 0);
    return buffer->address();
  };
  for (const BroadcastTensor& broadcast : request.broadcasts) {
    memory.broadcasts.emplace_back(broadcast.data, 0);
    const auto& levels =
        memory.levels.emplace_back(BroadcastLevels(broadcast.shape));
    segment.broadcasts.push_back(
        {memory.broadcasts.back().address(),
         levels.empty() ? 0 : reinterpret_cast<DeviceAddress>(levels.data()),
         broadcast.shape});
  }
  if (layout.has_tile_sums()) {
    segment.tile_sums = allocate(layout.tile_sums_bytes(segment.num_elements),
                                 memory.tile_sums);
    segment.sums = allocate(layout.num_sums() * int64_t{8}, memory.sums);
  }
  segment.row_size = request.rows.size;
  segment.row_stride = request.rows.stride;
  if (layout.has_scratch()) {
    segment.scratch =
        allocate(layout.scratch_bytes(segment.num_elements, segment.row_size),
                 memory.scratch);
  }
  segment.parameters.assign(request.parameters.begin(),
                            request.parameters.end());
  segment.draws =
      DrawWords(program.graph, request.parameters, request.element_offset);
  return memory;
}

void Launch(const HostModule& module, int number, PackedLaunch launch) {
  if (launch.grid == 0) return;
  if (!launch.segment_table.empty()) {
    launch.SetSegmentTable(
        reinterpret_cast<DeviceAddress>(launch.segment_table.data()));
  }
  module.Launch(number, launch.entry, launch);
}

void Launch(const HostModule& module, int number, const LaunchLayout& layout,
            KernelEntry entry, const std::vector<LaunchSegment>& segments,
            const ShimOptions& options) {
  const auto packed = PackLaunch(
      layout, entry, segments,
      {.streaming = options.streaming,
       .num_multiprocessors = 3,
       .window = layout.has_table() ? layout.SharedWindow(options.shared_bytes)
                                    : TableWindow{}});
  ASSERT_TRUE(packed.ok()) << packed.status();
  Launch(module, number, *packed);
}

// Sums what `memory` has terms of, each like its tensor.
std::vector<double> SumTerms(const HostModule& module, int number,
                             const LoweredProgram& program,
                             const LaunchLayout& layout,
                             const ShimRequest& request, const Memory& memory) {
  std::vector<double> all;
  const int64_t num_elements = memory.segment.num_elements;
  int index = 0;
  for (const Output& output : program.graph.outputs) {
    if (!output.summed) continue;
    const int64_t offset = layout.terms_offset_bytes(index++, num_elements,
                                                     memory.segment.row_size);
    const Broadcast::Dimension everything = {num_elements, true};
    const Broadcast shape = output.like < 0
                                ? Broadcast(absl::MakeConstSpan(&everything, 1))
                                : request.broadcasts[output.like].shape;
    std::vector<double> sums(shape.num_elements());
    if (num_elements > 0) {
      Buffer scratch(SumScratchBytes(shape), 0);
      Buffer result(static_cast<int64_t>(sums.size() * sizeof(double)), 0);
      for (const PackedLaunch& launch :
           PackSums(layout, shape, memory.segment.scratch + offset,
                    scratch.address(), result.address())) {
        Launch(module, number, launch);
      }
      EXPECT_TRUE(scratch.GuardsUntouched() && result.GuardsUntouched());
      const std::string bytes = result.content();
      std::memcpy(sums.data(), bytes.data(), bytes.size());
    }
    for (const double sum : sums) {
      // A number's sum begins with +0, also if it is of one term.
      all.push_back(output.like < 0 ? sum + 0.0 : sum);
    }
  }
  return all;
}

void LaunchRows(const HostModule& module, int number,
                const LaunchLayout& layout,
                const std::vector<LaunchSegment>& segments) {
  const auto packed = PackRows(layout, segments);
  ASSERT_TRUE(packed.ok()) << packed.status();
  for (const PackedLaunch& launch : *packed) Launch(module, number, launch);
}

}  // namespace

std::vector<Results> RunOnShim(const HostModule& module, int number,
                               const LoweredProgram& program,
                               const std::vector<ShimRequest>& requests,
                               const ShimOptions& options) {
  const LaunchLayout layout(program);
  std::vector<Memory> memories;
  std::vector<LaunchSegment> segments;
  // One for each of the parameters' values.
  std::map<std::vector<double>, std::shared_ptr<Buffer>> tables;
  std::vector<LaunchSegment> fills;
  for (const ShimRequest& request : requests) {
    Memory memory = Allocate(layout, program, request, options);
    if (layout.has_table()) {
      std::shared_ptr<Buffer>& table = tables[request.parameters];
      const bool is_new = table == nullptr;
      if (is_new) table = std::make_shared<Buffer>(layout.table_bytes(), 0);
      memory.table = table;
      memory.segment.table = table->address();
      if (is_new) fills.push_back(memory.segment);
    }
    segments.push_back(memory.segment);
    memories.push_back(std::move(memory));
  }
  if (layout.has_table()) {
    Launch(module, number, layout, KernelEntry::kFillTable, fills, options);
  }
  if (layout.has_table() && options.shared_bytes > 0) {
    for (const LaunchSegment& segment : segments) {
      Launch(module, number, layout, KernelEntry::kRunShared, {segment},
             options);
    }
  } else {
    const size_t at_once = layout.num_broadcasts() > 0 ? 1 : segments.size();
    for (size_t s = 0; s < segments.size(); s += at_once) {
      const std::vector<LaunchSegment> of_launch(
          segments.begin() + s, segments.begin() + s + at_once);
      if (layout.has_rows()) {
        LaunchRows(module, number, layout, of_launch);
      } else {
        Launch(module, number, layout, KernelEntry::kRun, of_launch, options);
      }
    }
  }
  if (layout.has_tile_sums()) {
    Launch(module, number, layout, KernelEntry::kFinishSums, segments, options);
  }

  std::vector<Results> results;
  for (size_t m = 0; m < memories.size(); ++m) {
    const Memory& memory = memories[m];
    if (memory.table != nullptr) {
      EXPECT_TRUE(memory.table->GuardsUntouched());
    }
    if (memory.scratch != nullptr) {
      EXPECT_TRUE(memory.scratch->GuardsUntouched());
    }
    for (const Buffer& broadcast : memory.broadcasts) {
      EXPECT_TRUE(broadcast.GuardsUntouched());
    }
    Results result;
    for (const Buffer& output : memory.outputs) {
      EXPECT_TRUE(output.GuardsUntouched());
      result.outputs.push_back(output.content());
    }
    if (memory.sums != nullptr) {
      EXPECT_TRUE(memory.tile_sums->GuardsUntouched());
      EXPECT_TRUE(memory.sums->GuardsUntouched());
      result.sums.resize(layout.num_sums());
      const std::string bytes = memory.sums->content();
      std::memcpy(result.sums.data(), bytes.data(), bytes.size());
    } else {
      result.sums =
          SumTerms(module, number, program, layout, requests[m], memory);
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace actserve::testing
