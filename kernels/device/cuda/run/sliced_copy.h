#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_SLICED_COPY_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_SLICED_COPY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/run/staging.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/device/tensor_part.h"

namespace actserve {

// Copies of any size between the host and the device, in the order of a slot's
// stream: in slices, through the slot's two buffers by turns.
//
// Used by one thread. Returns what CudaContext::Check() and Wait() return.
class SlicedCopy {
 public:
  // `slice_bytes` is the size of a buffer.
  SlicedCopy(CudaContext& context, const StagingSlot& slot, int64_t slice_bytes)
      : context_(context),
        slot_(slot),
        slice_bytes_(slice_bytes),
        buffers_{{slot.in, slot.in_copied}, {slot.out, slot.out_copied}} {}

  // The next `size_bytes` of a tensor.
  absl::Status In(FragmentCursor from, CuDeviceAddress to, int64_t size_bytes);
  // `to` is complete after Finish().
  absl::Status Out(CuDeviceAddress from, void* to, int64_t size_bytes) {
    return Out(from, to, TensorPart(), size_bytes, 1);
  }
  // All elements of `part` of the tensor at `to`.
  absl::Status Out(CuDeviceAddress from, void* to, const TensorPart& part,
                   int64_t num_elements, int64_t item_size_bytes);
  // Waits for all copies. The buffers may be used again.
  absl::Status Finish();

 private:
  struct Buffer {
    std::byte* memory;
    CuEvent copied;
    bool in_use = false;
    // The tensor that is to be copied to from it, once it has been copied to:
    // elements [begin, begin + num_elements) of `part`.
    std::byte* to = nullptr;
    TensorPart part = {};
    int64_t begin = 0;
    int64_t num_elements = 0;
    int64_t item_size_bytes = 0;
  };

  // The buffer whose turn it is, free.
  absl::StatusOr<Buffer*> Next();
  absl::Status Free(Buffer& buffer);
  absl::Status Record(Buffer& buffer);

  CudaContext& context_;
  const StagingSlot& slot_;
  const int64_t slice_bytes_;
  Buffer buffers_[2];
  int turn_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_SLICED_COPY_H_
