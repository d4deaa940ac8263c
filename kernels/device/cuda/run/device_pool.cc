#include "kernels/device/cuda/run/device_pool.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actserve {

DeviceBlock::~DeviceBlock() {
  if (pool_ != nullptr) pool_->Free(*this);
}

absl::StatusOr<std::shared_ptr<DevicePool>> DevicePool::Create(
    const std::shared_ptr<CudaContext>& context, int64_t max_bytes,
    int64_t max_resident_bytes) {
  if (max_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_memory_bytes ", max_bytes, ": want >= 0"));
  }
  if (max_resident_bytes < -1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_resident_bytes ", max_resident_bytes, ": want >= -1"));
  }
  absl::Status status = context->Enter();
  if (!status.ok()) return status;
  const CuFunctions& cuda = context->cuda();
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  status.Update(context->Check("cuMemGetInfo",
                               cuda.MemGetInfo(&free_bytes, &total_bytes)));
  if (max_bytes == 0) max_bytes = free_bytes / 10 * 9;
  if (max_resident_bytes == -1) max_resident_bytes = max_bytes / 2;
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
  std::shared_ptr<DevicePool> made(
      new DevicePool(context, max_bytes, max_resident_bytes));
  status.Update(
      context->Check("cuStreamCreate",
                     cuda.StreamCreate(&made->stream_, kCuStreamNonBlocking)));
  status.Update(context->Check(
      "cuEventCreate", cuda.EventCreate(&made->allocated_, kCuEventDefault)));
  if (!status.ok()) return status;
  return made;
}

DevicePool::~DevicePool() {
  if (!context_->Enter().ok()) return;
  if (allocated_ != nullptr) context_->cuda().EventDestroy(allocated_);
  if (stream_ != nullptr) context_->cuda().StreamDestroy(stream_);
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
  block.stream_ = stream;
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

absl::StatusOr<DeviceBlock> DevicePool::AllocateResident(int64_t size_bytes) {
  // Of 0 bytes a driver may say that they are an error.
  if (size_bytes == 0) return DeviceBlock();
  const int64_t padded = Padded(size_bytes);
  const int64_t resident = resident_bytes_.fetch_add(padded) + padded;
  if (resident > max_resident_bytes_) {
    resident_bytes_.fetch_sub(padded);
    return absl::ResourceExhaustedError(absl::StrCat(
        context_->name(), ": ", padded, " resident bytes on top of ",
        resident - padded, ": the budget is ", max_resident_bytes_));
  }
  absl::MutexLock lock(&allocating_);
  absl::StatusOr<DeviceBlock> block = Allocate(size_bytes, stream_);
  if (!block.ok()) {
    resident_bytes_.fetch_sub(padded);
    return block.status();
  }
  block->resident_ = true;
  absl::Status status = context_->Check(
      "cuEventRecord", context_->cuda().EventRecord(allocated_, stream_));
  if (status.ok()) status = context_->Wait(allocated_);
  if (!status.ok()) return status;
  return block;
}

void DevicePool::Free(const DeviceBlock& block) {
  if (block.resident_) resident_bytes_.fetch_sub(block.size_bytes_);
  used_bytes_.fetch_sub(block.size_bytes_);
  // The process takes the memory of a lost device with it.
  if (!context_->Enter().ok()) return;
  context_
      ->Check("cuMemFreeAsync",
              context_->cuda().MemFreeAsync(block.address_, block.stream_))
      .IgnoreError();
}

}  // namespace actserve
