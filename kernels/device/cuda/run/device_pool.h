#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_POOL_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/device/cuda/driver/cuda_context.h"

namespace actserve {

class DevicePool;

// Device memory, freed when the block is destroyed. It is freed in the order of
// its stream, so after the work that was put there before.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(DeviceBlock&& other) noexcept { *this = std::move(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(address_, other.address_);
    std::swap(size_bytes_, other.size_bytes_);
    std::swap(stream_, other.stream_);
    std::swap(resident_, other.resident_);
    return *this;
  }
  ~DeviceBlock();

  CuDeviceAddress address() const { return address_; }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  friend class DevicePool;

  std::shared_ptr<DevicePool> pool_;
  CuDeviceAddress address_ = 0;
  int64_t size_bytes_ = 0;
  CuStream stream_ = nullptr;
  bool resident_ = false;
};

// Lends the device's memory within a budget, from the driver's stream-ordered
// pool, which keeps freed memory.
//
// Thread-safe.
class DevicePool : public std::enable_shared_from_this<DevicePool> {
 public:
  // Blocks, and tensors in them, start at multiples of this.
  static constexpr int64_t kAlignmentBytes = 256;
  static constexpr int64_t Padded(int64_t size_bytes) {
    return (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes *
           kAlignmentBytes;
  }

  // `max_bytes` 0: nine tenths of what is free now. `max_resident_bytes` is
  // the part of them that may be resident; -1: half.
  //   InvalidArgument  a bound out of range
  static absl::StatusOr<std::shared_ptr<DevicePool>> Create(
      const std::shared_ptr<CudaContext>& context, int64_t max_bytes,
      int64_t max_resident_bytes);
  ~DevicePool();

  // Padded(size_bytes) bytes, for work that is put on `stream` from now on;
  // `stream` must outlive the block. size_bytes > 0.
  //   ResourceExhausted  over the budget, or the device has no more
  //   Unavailable        the device is lost
  absl::StatusOr<DeviceBlock> Allocate(int64_t size_bytes, CuStream stream);

  // The same for work on any stream, and to stay: from the bound on resident
  // bytes too. Waits for the device. Of 0 bytes: an empty block.
  absl::StatusOr<DeviceBlock> AllocateResident(int64_t size_bytes);

  int64_t max_bytes() const { return max_bytes_; }
  int64_t used_bytes() const { return used_bytes_.load(); }
  int64_t resident_bytes() const { return resident_bytes_.load(); }

 private:
  friend class DeviceBlock;

  DevicePool(std::shared_ptr<CudaContext> context, int64_t max_bytes,
             int64_t max_resident_bytes)
      : context_(std::move(context)),
        max_bytes_(max_bytes),
        max_resident_bytes_(max_resident_bytes) {}

  void Free(const DeviceBlock& block);

  const std::shared_ptr<CudaContext> context_;
  const int64_t max_bytes_;
  const int64_t max_resident_bytes_;
  CuStream stream_ = nullptr;  // of resident blocks
  CuEvent allocated_ = nullptr;
  absl::Mutex allocating_;  // of one resident block at a time
  std::atomic<int64_t> used_bytes_ = 0;
  std::atomic<int64_t> resident_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_POOL_H_
