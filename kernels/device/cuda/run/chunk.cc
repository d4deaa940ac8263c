#include "kernels/device/cuda/run/chunk.h"

#include <algorithm>

#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/graph/summation.h"

namespace actserve {

ChunkCutter::ChunkCutter(const LoweredProgram& program,
                         const LaunchLayout& layout, int64_t max_region_bytes,
                         absl::Span<const WorkItem> items)
    : layout_(layout),
      item_size_bytes_(ItemSizeBytes(program.storage)),
      // A first tile and a row.
      segment_bytes_((1 + layout.row_words()) * sizeof(uint64_t)),
      max_region_bytes_(max_region_bytes),
      items_(items) {}

int64_t ChunkCutter::PaddedTensorBytes(int64_t num_elements) const {
  return DevicePool::Padded(num_elements * item_size_bytes_);
}

int64_t ChunkCutter::InBytes(int64_t num_elements) const {
  return static_cast<int64_t>(items_[item_].inputs.size()) *
         PaddedTensorBytes(num_elements);
}

int64_t ChunkCutter::OutBytes(int64_t num_elements) const {
  return layout_.num_outputs() * PaddedTensorBytes(num_elements) +
         DevicePool::Padded(layout_.tile_sums_bytes(num_elements));
}

bool ChunkCutter::Fits(const Chunk& chunk, int64_t num_elements) const {
  const int64_t segments = (chunk.pieces.size() + 1) * segment_bytes_;
  return chunk.segments_offset_bytes + InBytes(num_elements) + segments <=
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
  piece.tile_sums_offset_bytes =
      chunk.out_bytes + layout_.num_outputs() * PaddedTensorBytes(num_elements);
  chunk.num_elements += num_elements;
  chunk.segments_offset_bytes += InBytes(num_elements);
  chunk.in_bytes = chunk.segments_offset_bytes +
                   static_cast<int64_t>(chunk.pieces.size()) * segment_bytes_;
  chunk.out_bytes += OutBytes(num_elements);
}

Chunk ChunkCutter::Next() {
  Chunk chunk;
  while (item_ < items_.size()) {
    const int64_t left = items_[item_].num_elements - begin_;
    if (left == 0) {
      ++item_;
      begin_ = 0;
    } else if (Fits(chunk, left)) {
      Append(chunk, left);
      begin_ += left;
    } else if (!chunk.pieces.empty()) {
      break;
    } else {
      // The largest number of tiles that fits, found by halving: sizes grow
      // with the number.
      int64_t fits = 1;
      int64_t too_many = left / kSumTileElements + 1;
      while (too_many - fits > 1) {
        const int64_t middle = fits + (too_many - fits) / 2;
        (Fits(chunk, middle * kSumTileElements) ? fits : too_many) = middle;
      }
      Append(chunk, std::min(left, fits * kSumTileElements));
      begin_ += chunk.num_elements;
      break;
    }
  }
  return chunk;
}

}  // namespace actserve
