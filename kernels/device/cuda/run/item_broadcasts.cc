#include "kernels/device/cuda/run/item_broadcasts.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "kernels/base/status_macros.h"
#include "kernels/codegen/cuda/sum_terms.h"
#include "kernels/device/cuda/run/device_pool.h"

namespace actserve {
namespace {

int64_t BytesOf(const std::vector<uint64_t>& words) {
  return static_cast<int64_t>(words.size() * sizeof(uint64_t));
}

}  // namespace

ItemBroadcasts::ItemBroadcasts(const LoweredProgram& program,
                               const WorkItem& item)
    : item_(item), item_size_bytes_(ItemSizeBytes(program.storage)) {
  for (const BroadcastInput& input : item.broadcasts) {
    Placed& placed = placed_.emplace_back();
    placed.offset_bytes = size_bytes_;
    size_bytes_ +=
        DevicePool::Padded(input.shape.num_elements() * item_size_bytes_);
    placed.levels = BroadcastLevels(input.shape);
    placed.levels_offset_bytes = size_bytes_;
    size_bytes_ += DevicePool::Padded(BytesOf(placed.levels));
  }
  for (const Output& output : program.graph.outputs) {
    if (!output.summed) continue;
    const Broadcast::Dimension all = {item.num_elements, true};
    const bool of_all = output.like < 0;
    sums_.push_back({of_all ? Broadcast(absl::MakeConstSpan(&all, 1))
                            : item.broadcasts[output.like].shape,
                     of_all});
    num_sums_ += sums_.back().shape.num_elements();
  }
}

absl::Status ItemBroadcasts::ForEachPart(
    absl::FunctionRef<absl::Status(absl::Span<const Fragment>, int64_t,
                                   int64_t)>
        copy) const {
  for (size_t b = 0; b < placed_.size(); ++b) {
    const Placed& placed = placed_[b];
    const BroadcastInput& input = item_.broadcasts[b];
    ACTSERVE_RETURN_IF_ERROR(
        copy(input.data, placed.offset_bytes,
             input.shape.num_elements() * item_size_bytes_));
    if (placed.levels.empty()) continue;
    const int64_t levels_bytes = BytesOf(placed.levels);
    const Fragment levels = {
        reinterpret_cast<const std::byte*>(placed.levels.data()),
        static_cast<size_t>(levels_bytes)};
    ACTSERVE_RETURN_IF_ERROR(copy(absl::MakeConstSpan(&levels, 1),
                                  placed.levels_offset_bytes, levels_bytes));
  }
  return absl::OkStatus();
}

std::vector<LaunchBroadcast> ItemBroadcasts::At(DeviceAddress begin) const {
  std::vector<LaunchBroadcast> launched;
  for (size_t b = 0; b < placed_.size(); ++b) {
    const Placed& placed = placed_[b];
    launched.push_back(
        {begin + placed.offset_bytes,
         placed.levels.empty() ? 0 : begin + placed.levels_offset_bytes,
         item_.broadcasts[b].shape});
  }
  return launched;
}

int64_t ItemBroadcasts::sum_scratch_bytes() const {
  int64_t bytes = 0;
  if (item_.num_elements == 0) return bytes;
  for (const Sum& sum : sums_) {
    bytes = std::max(bytes, SumScratchBytes(sum.shape));
  }
  return bytes;
}

std::vector<PackedLaunch> ItemBroadcasts::PackAllSums(
    const LaunchLayout& layout, const LaunchSegment& segment,
    DeviceAddress scratch, DeviceAddress sums) const {
  std::vector<PackedLaunch> all;
  for (size_t s = 0; s < sums_.size(); ++s) {
    const Broadcast& shape = sums_[s].shape;
    const DeviceAddress terms =
        segment.scratch + layout.terms_offset_bytes(static_cast<int>(s),
                                                    segment.num_elements,
                                                    segment.row_size);
    std::vector<PackedLaunch> launches =
        PackSums(layout, shape, terms, scratch, sums);
    std::move(launches.begin(), launches.end(), std::back_inserter(all));
    sums += shape.num_elements() * sizeof(double);
  }
  return all;
}

void ItemBroadcasts::AddZeros(absl::Span<double> sums) const {
  size_t at = 0;
  for (const Sum& sum : sums_) {
    if (sum.of_all) sums[at] += 0.0;
    at += sum.shape.num_elements();
  }
}

}  // namespace actserve
