#include "kernels/device/cuda/run/staging.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actserve {

absl::StatusOr<std::unique_ptr<StagingRing>> StagingRing::Create(
    std::shared_ptr<CudaContext> context, int num_slots, int64_t size_bytes) {
  if (num_slots < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_staging_slots ", num_slots, ": want >= 1"));
  }
  absl::Status status = context->Enter();
  std::unique_ptr<StagingRing> ring(
      new StagingRing(std::move(context), size_bytes));
  for (int i = 0; i < num_slots && status.ok(); ++i) status = ring->AddSlot();
  if (!status.ok()) return status;
  return ring;
}

absl::Status StagingRing::AddSlot() {
  const CuFunctions& cuda = context_->cuda();
  slots_.push_back(std::make_unique<StagingSlot>());
  StagingSlot& slot = *slots_.back();
  absl::Status status;
  for (std::byte** memory : {&slot.in, &slot.out}) {
    void* pinned = nullptr;
    status.Update(context_->Check("cuMemHostAlloc",
                                  cuda.MemHostAlloc(&pinned, size_bytes_, 0)));
    *memory = static_cast<std::byte*>(pinned);
  }
  status.Update(context_->Check(
      "cuStreamCreate", cuda.StreamCreate(&slot.stream, kCuStreamNonBlocking)));
  for (CuEvent* event : {&slot.begin, &slot.copied_in, &slot.computed,
                         &slot.done, &slot.in_copied, &slot.out_copied}) {
    status.Update(context_->Check("cuEventCreate",
                                  cuda.EventCreate(event, kCuEventDefault)));
  }
  absl::MutexLock lock(&mutex_);
  free_.push_back(&slot);
  return status;
}

StagingRing::~StagingRing() {
  // A lost device may still write to its memory.
  if (!context_->Enter().ok()) return;
  const CuFunctions& cuda = context_->cuda();
  for (const std::unique_ptr<StagingSlot>& slot : slots_) {
    for (CuEvent event : {slot->begin, slot->copied_in, slot->computed,
                          slot->done, slot->in_copied, slot->out_copied}) {
      if (event != nullptr) cuda.EventDestroy(event);
    }
    if (slot->stream != nullptr) cuda.StreamDestroy(slot->stream);
    for (std::byte* memory : {slot->in, slot->out}) {
      if (memory != nullptr) cuda.MemFreeHost(memory);
    }
  }
}

StagingSlot* StagingRing::Pop() {
  StagingSlot* const slot = free_.back();
  free_.pop_back();
  return slot;
}

StagingSlot* StagingRing::Acquire() {
  absl::MutexLock lock(&mutex_, absl::Condition(this, &StagingRing::HasFree));
  return Pop();
}

StagingSlot* StagingRing::TryAcquire() {
  absl::MutexLock lock(&mutex_);
  return HasFree() ? Pop() : nullptr;
}

void StagingRing::Release(StagingSlot* slot) {
  absl::MutexLock lock(&mutex_);
  free_.push_back(slot);
}

}  // namespace actserve
