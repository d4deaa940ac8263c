#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_RESIDENT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_RESIDENT_H_

#include <cstdint>
#include <utility>

#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/device/device.h"

namespace actserve {

// Tensors in device memory, each padded.
class CudaResidentTensors final : public ResidentTensors {
 public:
  CudaResidentTensors(int num_tensors, int64_t num_elements, DType dtype,
                      const DevicePool* pool, DeviceBlock block)
      : ResidentTensors(num_tensors, num_elements, dtype),
        pool_(pool),
        block_(std::move(block)) {}

  static int64_t SizeBytes(int num_tensors, int64_t num_elements, DType dtype) {
    return num_tensors *
           DevicePool::Padded(num_elements * ItemSizeBytes(dtype));
  }

  // Element `begin` of tensor `t`.
  CuDeviceAddress address(int t, int64_t begin) const {
    return block_.address() + SizeBytes(t, num_elements(), dtype()) +
           begin * ItemSizeBytes(dtype());
  }
  // The pool that owns the memory; it lives as long as the block.
  const DevicePool* pool() const { return pool_; }

 private:
  const DevicePool* const pool_;
  const DeviceBlock block_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_RESIDENT_H_
