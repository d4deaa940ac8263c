#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_CHUNK_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/run/item_broadcasts.h"
#include "kernels/device/device.h"

namespace actserve {

// Elements [begin, begin + num_elements) of one item, and where they lie in
// the two regions of their chunk. Each tensor is padded, so the next starts
// at a multiple of DevicePool::kAlignmentBytes.
struct Piece {
  size_t item = 0;
  int64_t begin = 0;
  int64_t num_elements = 0;
  int64_t inputs_offset_bytes = 0;  // those that the device does not have
  int64_t broadcasts_offset_bytes = 0;
  int64_t outputs_offset_bytes = 0;
  int64_t sums_offset_bytes = 0;
  int64_t scratch_offset_bytes = 0;
  int64_t sum_scratch_offset_bytes = 0;
};

// Pieces that cross to the device in one copy, are computed by one launch, and
// come back in one copy.
struct Chunk {
  std::vector<Piece> pieces;
  int64_t num_elements = 0;
  // The region that is copied in: inputs, then the table of segments.
  int64_t segments_offset_bytes = 0;
  int64_t in_bytes = 0;
  // The region that is copied out: outputs, then tile sums, or the sums
  // themselves if tensors broadcast.
  int64_t out_bytes = 0;
  // A third region, that stays on the device.
  int64_t scratch_bytes = 0;
  // True of an item that is cut nowhere and exceeds the limit.
  bool is_large = false;
};

// Cuts items into chunks, each region within a limit of bytes. As many items
// share a chunk as fit. An item that fits into a chunk is never cut; a larger
// one gets chunks of its own, cut where no tile of summation.h and no row is
// cut. If one piece of these is too large, the item is a chunk whole, beyond
// the limit.
//
// An item in device memory needs no room for its tensors, and so is hardly ever
// cut. An item with tensors that broadcast has chunks of its own. It is cut
// only if it has no sums, and these tensors are small, for each chunk brings
// them along.
//
// Not thread-safe.
class ChunkCutter {
 public:
  // The smallest region that works for any program of single elements within
  // today's limits: one tile of float64 for four inputs and dy.
  static constexpr int64_t kMinRegionBytes = int64_t{256} << 10;

  // `items` must outlive the cutter and fit the program.
  ChunkCutter(const LoweredProgram& program, const LaunchLayout& layout,
              int64_t max_region_bytes, absl::Span<const WorkItem> items);

  // The next chunk; one without pieces at the end.
  Chunk Next();

  int64_t PaddedTensorBytes(int64_t num_elements) const;
  // Of an item whose program has tensors that broadcast.
  const ItemBroadcasts& broadcasts(size_t item) const {
    return broadcasts_[item];
  }

 private:
  // Of the current item: its tensors alone, nothing if the device has them, and
  // all that is copied.
  int64_t InputBytes(int64_t num_elements) const;
  int64_t OutputBytes(int64_t num_elements) const;
  int64_t InBytes(int64_t num_elements) const;
  int64_t OutBytes(int64_t num_elements) const;
  int64_t SegmentBytes() const;  // of the current item, in the tables
  // The current item is cut at multiples of so many elements.
  int64_t Unit() const;
  bool Fits(const Chunk& chunk, int64_t num_elements) const;
  void Append(Chunk& chunk, int64_t num_elements) const;

  const LaunchLayout& layout_;
  const int64_t item_size_bytes_;
  const int64_t max_region_bytes_;
  const absl::Span<const WorkItem> items_;
  std::vector<ItemBroadcasts> broadcasts_;  // by item, or empty
  size_t item_ = 0;
  int64_t begin_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_CHUNK_H_
