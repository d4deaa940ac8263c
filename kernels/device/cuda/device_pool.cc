#include "kernels/device/cuda/device_pool.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actserve {

DeviceBlock::~DeviceBlock() {
  if (pool_ != nullptr) pool_->Free(*this);
}

absl::StatusOr<std::shared_ptr<DevicePool>> DevicePool::Create(
    std::shared_ptr<CudaContext> context, int64_t max_bytes) {
  if (max_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_memory_bytes ", max_bytes, ": want >= 0"));
  }
  absl::Status status = context->Enter();
  if (!status.ok()) return status;
  const CuFunctions& cuda = context->cuda();
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  status.Update(context->Check("cuMemGetInfo",
                               cuda.MemGetInfo(&free_bytes, &total_bytes)));
  if (max_bytes == 0) max_bytes = free_bytes / 10 * 9;
  // Keep what is freed up to the budget: asking the system again takes longer
  // than the kernels do.
  CuMemoryPool pool = nullptr;
  status.Update(
      context->Check("cuDeviceGetDefaultMemPool",
                     cuda.DeviceGetDefaultMemPool(&pool, context->device())));
  if (!status.ok()) return status;
  uint64_t kept_bytes = max_bytes;
  status.Update(context->Check(
      "cuMemPoolSetAttribute",
      cuda.MemPoolSetAttribute(pool, kCuReleaseThreshold, &kept_bytes)));
  CuStream stream = nullptr;
  status.Update(context->Check(
      "cuStreamCreate", cuda.StreamCreate(&stream, kCuStreamNonBlocking)));
  if (!status.ok()) return status;
  return std::shared_ptr<DevicePool>(
      new DevicePool(std::move(context), stream, max_bytes));
}

DevicePool::~DevicePool() {
  if (context_->Enter().ok()) context_->cuda().StreamDestroy(stream_);
}

absl::StatusOr<DeviceBlock> DevicePool::Allocate(int64_t size_bytes,
                                                 CuStream stream) {
  const int64_t padded = Padded(size_bytes);
  const int64_t used = used_bytes_.fetch_add(padded) + padded;
  if (used > max_bytes_) {
    used_bytes_.fetch_sub(padded);
    return absl::ResourceExhaustedError(
        absl::StrCat(context_->name(), ": ", padded, " bytes on top of ",
                     used - padded, " in use: the budget is ", max_bytes_));
  }
  DeviceBlock block;
  block.stream_ = stream == nullptr ? stream_ : stream;
  absl::Status status = context_->Check(
      "cuMemAllocAsync",
      context_->cuda().MemAllocAsync(&block.address_, padded, block.stream_));
  if (!status.ok()) {
    used_bytes_.fetch_sub(padded);
    return status;
  }
  block.size_bytes_ = padded;
  block.pool_ = shared_from_this();
  return block;
}

void DevicePool::Free(const DeviceBlock& block) {
  used_bytes_.fetch_sub(block.size_bytes_);
  // What a lost device still holds goes with the process.
  if (!context_->Enter().ok()) return;
  context_
      ->Check("cuMemFreeAsync",
              context_->cuda().MemFreeAsync(block.address_, block.stream_))
      .IgnoreError();
}

}  // namespace actserve
