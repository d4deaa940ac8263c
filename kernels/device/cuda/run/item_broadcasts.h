#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_ITEM_BROADCASTS_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_ITEM_BROADCASTS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/device.h"

namespace actserve {

// The tensors of an item that broadcast, and the sums that are like them: their
// sizes, and where they lie in device memory.
class ItemBroadcasts {
 public:
  // `item` must outlive this object and fit the program.
  ItemBroadcasts(const LoweredProgram& program, const WorkItem& item);

  // Of all tensors and of what says how to read them.
  int64_t size_bytes() const { return size_bytes_; }
  // Calls `copy` for each part of that, which lies `offset_bytes` from the
  // start.
  absl::Status ForEachPart(
      absl::FunctionRef<absl::Status(absl::Span<const Fragment> data,
                                     int64_t offset_bytes, int64_t size_bytes)>
          copy) const;
  // For a launch, if they start at `begin`.
  std::vector<LaunchBroadcast> At(DeviceAddress begin) const;

  int64_t num_sums() const { return num_sums_; }
  // What PackSums() needs beside the sums.
  int64_t sum_scratch_bytes() const;
  // The launches that write all sums, of terms in the scratch of `segment`.
  // Not for an item without elements.
  std::vector<PackedLaunch> PackAllSums(const LaunchLayout& layout,
                                        const LaunchSegment& segment,
                                        DeviceAddress scratch,
                                        DeviceAddress sums) const;
  // A sum of all elements begins with +0, even of one.
  void AddZeros(absl::Span<double> sums) const;

 private:
  // A tensor, and behind it the words of BroadcastLevels().
  struct Placed {
    int64_t offset_bytes;
    std::vector<uint64_t> levels;
    int64_t levels_offset_bytes;
  };
  struct Sum {
    Broadcast shape;
    bool of_all;
  };

  const WorkItem& item_;
  const int64_t item_size_bytes_;
  int64_t size_bytes_ = 0;
  std::vector<Placed> placed_;
  std::vector<Sum> sums_;  // one per summed output
  int64_t num_sums_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_ITEM_BROADCASTS_H_
