#include "kernels/codegen/cuda/sum_terms.h"

#include <algorithm>
#include <utility>

#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// Of kFoldSums.
constexpr int64_t kFold = 16;
// Blocks that keep any device busy; each goes on to more where there are more.
constexpr int64_t kMaxBlocks = int64_t{1} << 16;

int64_t RowsOfGroup(KernelEntry entry) {
  return entry == KernelEntry::kSumRuns   ? kSumTileElements
         : entry == KernelEntry::kSumRows ? kSumGroup
                                          : kFold;
}

int64_t CeilOfQuotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

// `step`, and kFoldSums until each block has one row.
void AddSteps(SumStep step, std::vector<SumStep>& steps) {
  for (;;) {
    steps.push_back(step);
    step.rows = CeilOfQuotient(step.rows, RowsOfGroup(step.entry));
    step.entry = KernelEntry::kFoldSums;
    if (step.rows == 1) return;
  }
}

}  // namespace

int64_t SumStep::num_results() const {
  return outer * CeilOfQuotient(rows, RowsOfGroup(entry)) * width;
}

std::vector<SumStep> SumSteps(const Broadcast& shape) {
  std::vector<SumStep> steps;
  absl::Span<const Broadcast::Dimension> left = shape.dimensions();
  int64_t outer = shape.num_read();
  int64_t width = 1;
  bool is_run = true;
  for (; !left.empty(); left.remove_suffix(1), is_run = false) {
    const Broadcast::Dimension& dimension = left.back();
    outer /= dimension.size;
    if (!dimension.repeated) {
      width *= dimension.size;
    } else {
      AddSteps({is_run ? KernelEntry::kSumRuns : KernelEntry::kSumRows, outer,
                dimension.size, width},
               steps);
    }
  }
  // Nothing repeats: only the type changes.
  if (steps.empty()) AddSteps({KernelEntry::kFoldSums, 1, 1, width}, steps);
  return steps;
}

int64_t SumScratchBytes(const Broadcast& shape) {
  const std::vector<SumStep> steps = SumSteps(shape);
  int64_t numbers = 0;
  // Results get fewer, and two steps never share an array.
  for (size_t s = 0; s + 1 < steps.size() && s < 2; ++s) {
    numbers += steps[s].num_results();
  }
  return numbers * static_cast<int64_t>(sizeof(double));
}

std::vector<PackedLaunch> PackSums(const LaunchLayout& layout,
                                   const Broadcast& shape, DeviceAddress terms,
                                   DeviceAddress scratch, DeviceAddress sums) {
  const std::vector<SumStep> steps = SumSteps(shape);
  DeviceAddress from = terms;
  DeviceAddress to = scratch;
  DeviceAddress next = scratch + steps[0].num_results() * sizeof(double);
  std::vector<PackedLaunch> launches;
  for (size_t s = 0; s < steps.size(); ++s) {
    const SumStep& step = steps[s];
    if (s + 1 == steps.size()) to = sums;
    PackedLaunch& launch = launches.emplace_back();
    launch.entry = step.entry;
    launch.block = layout.threads(step.entry);
    // A thread or more for each result; those of short runs share a block.
    const int64_t threads =
        step.entry == KernelEntry::kSumRuns
            ? step.num_results() * std::min(step.rows, kSumLanes)
            : step.num_results();
    launch.grid = std::min(CeilOfQuotient(threads, launch.block), kMaxBlocks);
    launch.argument = {from,
                       to,
                       static_cast<uint64_t>(step.outer),
                       static_cast<uint64_t>(step.rows),
                       static_cast<uint64_t>(step.width),
                       s == 0 ? uint64_t{1} : 0};
    from = to;
    std::swap(to, next);
  }
  return launches;
}

}  // namespace actserve
