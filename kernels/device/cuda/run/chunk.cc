#include "kernels/device/cuda/run/chunk.h"

#include <algorithm>
#include <numeric>

#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/graph/summation.h"

namespace actserve {

ChunkCutter::ChunkCutter(const LoweredProgram& program,
                         const LaunchLayout& layout, int64_t max_region_bytes,
                         absl::Span<const WorkItem> items)
    : layout_(layout),
      item_size_bytes_(ItemSizeBytes(program.storage)),
      max_region_bytes_(max_region_bytes),
      items_(items) {
  if (program.num_broadcasts == 0) return;
  broadcasts_.reserve(items.size());
  for (const WorkItem& item : items) broadcasts_.emplace_back(program, item);
}

int64_t ChunkCutter::PaddedTensorBytes(int64_t num_elements) const {
  return DevicePool::Padded(num_elements * item_size_bytes_);
}

int64_t ChunkCutter::InputBytes(int64_t num_elements) const {
  const WorkItem& item = items_[item_];
  if (item.in_device_memory) return 0;
  return static_cast<int64_t>(item.inputs.size()) *
         PaddedTensorBytes(num_elements);
}

int64_t ChunkCutter::OutputBytes(int64_t num_elements) const {
  if (items_[item_].in_device_memory) return 0;
  return layout_.num_outputs() * PaddedTensorBytes(num_elements);
}

int64_t ChunkCutter::InBytes(int64_t num_elements) const {
  return InputBytes(num_elements) +
         (broadcasts_.empty() ? 0 : broadcasts_[item_].size_bytes());
}

int64_t ChunkCutter::OutBytes(int64_t num_elements) const {
  const int64_t sums_bytes = broadcasts_.empty()
                                 ? layout_.tile_sums_bytes(num_elements)
                                 : broadcasts_[item_].num_sums() *
                                       static_cast<int64_t>(sizeof(double));
  return OutputBytes(num_elements) + DevicePool::Padded(sums_bytes);
}

// A first tile and a row in the table of each launch.
int64_t ChunkCutter::SegmentBytes() const {
  const Rows& rows = items_[item_].rows;
  const int64_t num_launches =
      layout_.has_rows() ? NumRowLaunches(layout_, rows.size, rows.stride) : 1;
  return num_launches * (1 + layout_.row_words()) *
         static_cast<int64_t>(sizeof(uint64_t));
}

int64_t ChunkCutter::Unit() const {
  // Not worth it, or not possible.
  if (!broadcasts_.empty() &&
      (layout_.num_sums() > 0 ||
       broadcasts_[item_].size_bytes() > max_region_bytes_ / 4)) {
    return items_[item_].num_elements;
  }
  if (!layout_.has_rows()) return kSumTileElements;
  const Rows& rows = items_[item_].rows;
  const int64_t together = rows.size * rows.stride;
  return layout_.num_sums() > 0 ? std::lcm(together, kSumTileElements)
                                : together;
}

bool ChunkCutter::Fits(const Chunk& chunk, int64_t num_elements) const {
  return chunk.in_bytes + InBytes(num_elements) + SegmentBytes() <=
             max_region_bytes_ &&
         chunk.out_bytes + OutBytes(num_elements) <= max_region_bytes_;
}

void ChunkCutter::Append(Chunk& chunk, int64_t num_elements) const {
  Piece& piece = chunk.pieces.emplace_back();
  piece.item = item_;
  piece.begin = begin_;
  piece.num_elements = num_elements;
  piece.inputs_offset_bytes = chunk.segments_offset_bytes;
  piece.outputs_offset_bytes = chunk.out_bytes;
  piece.sums_offset_bytes = chunk.out_bytes + OutputBytes(num_elements);
  piece.broadcasts_offset_bytes =
      piece.inputs_offset_bytes + InputBytes(num_elements);
  chunk.num_elements += num_elements;
  piece.scratch_offset_bytes = chunk.scratch_bytes;
  chunk.segments_offset_bytes += InBytes(num_elements);
  chunk.in_bytes += InBytes(num_elements) + SegmentBytes();
  chunk.out_bytes += OutBytes(num_elements);
  chunk.scratch_bytes += DevicePool::Padded(
      layout_.scratch_bytes(num_elements, items_[item_].rows.size));
  piece.sum_scratch_offset_bytes = chunk.scratch_bytes;
  if (!broadcasts_.empty()) {
    chunk.scratch_bytes +=
        DevicePool::Padded(broadcasts_[item_].sum_scratch_bytes());
  }
}

Chunk ChunkCutter::Next() {
  Chunk chunk;
  while (item_ < items_.size()) {
    const int64_t left = items_[item_].num_elements - begin_;
    if (left == 0) {
      ++item_;
      begin_ = 0;
    } else if (!chunk.pieces.empty() &&
               (!broadcasts_.empty() || !Fits(chunk, left))) {
      break;
    } else if (Fits(chunk, left)) {
      Append(chunk, left);
      begin_ += left;
    } else if (const int64_t unit = Unit();
               unit >= left || !Fits(chunk, unit)) {
      // One with rows: of single elements a unit fits always.
      chunk.is_large = true;
      Append(chunk, left);
      begin_ += left;
      break;
    } else {
      // The largest number of units that fits, found by halving: sizes grow
      // with the number.
      int64_t fits = 1;
      int64_t too_many = left / unit + 1;
      while (too_many - fits > 1) {
        const int64_t middle = fits + (too_many - fits) / 2;
        (Fits(chunk, middle * unit) ? fits : too_many) = middle;
      }
      Append(chunk, std::min(left, fits * unit));
      begin_ += chunk.num_elements;
      break;
    }
  }
  return chunk;
}

}  // namespace actserve
