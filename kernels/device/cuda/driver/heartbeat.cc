#include "kernels/device/cuda/driver/heartbeat.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {

absl::StatusOr<std::unique_ptr<Heartbeat>> Heartbeat::Start(
    std::shared_ptr<CudaContext> context, absl::Duration interval) {
  std::unique_ptr<Heartbeat> heartbeat(
      new Heartbeat(std::move(context), interval));
  ACTSERVE_RETURN_IF_ERROR(heartbeat->MakeEvent());
  heartbeat->asking_ = std::thread([&self = *heartbeat] { self.Ask(); });
  heartbeat->watching_ = std::thread([&self = *heartbeat] { self.Watch(); });
  return heartbeat;
}

Heartbeat::~Heartbeat() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (asking_.joinable()) asking_.join();
  if (watching_.joinable()) watching_.join();
  if (!context_->Enter().ok()) return;
  if (event_ != nullptr) context_->cuda().EventDestroy(event_);
  if (stream_ != nullptr) context_->cuda().StreamDestroy(stream_);
}

absl::Status Heartbeat::MakeEvent() {
  ACTSERVE_RETURN_IF_ERROR(context_->Enter());
  const CuFunctions& cuda = context_->cuda();
  ACTSERVE_RETURN_IF_ERROR(context_->Check(
      "cuStreamCreate", cuda.StreamCreate(&stream_, kCuStreamNonBlocking)));
  return context_->Check("cuEventCreate",
                         cuda.EventCreate(&event_, kCuEventDefault));
}

absl::Status Heartbeat::Beat() {
  ACTSERVE_RETURN_IF_ERROR(context_->Enter());
  ACTSERVE_RETURN_IF_ERROR(context_->Check(
      "cuEventRecord", context_->cuda().EventRecord(event_, stream_)));
  return context_->Wait(event_);
}

bool Heartbeat::Sleep(absl::Duration duration) {
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), duration);
  return !stopping_ && !context_->lost();
}

void Heartbeat::Ask() {
  // Some errors pass; one that does not, loses the device whatever it is.
  constexpr int kMaxErrors = 4;
  int num_errors = 0;
  absl::MutexLock lock(&mutex_);
  while (Sleep(interval_)) {
    is_asking_ = true;
    mutex_.Unlock();
    const absl::Status status = Beat();
    num_errors = status.ok() ? 0 : num_errors + 1;
    if (num_errors == kMaxErrors) {
      context_->Lose(std::string(status.message())).IgnoreError();
    }
    mutex_.Lock();
    is_asking_ = false;
    ++num_beats_;
  }
}

// Counts its own steps, not the clock's: a process that was stopped has not
// waited.
void Heartbeat::Watch() {
  // Beat() finds a GPU that does not answer; this, a driver that does not
  // return, so it waits for longer.
  constexpr int kMaxSteps = 12;
  const absl::Duration step = context_->watchdog() / 10;
  absl::MutexLock lock(&mutex_);
  int64_t beat = num_beats_;
  int num_steps = 0;
  while (Sleep(step)) {
    if (!is_asking_ || num_beats_ != beat) {
      beat = num_beats_;
      num_steps = 0;
    } else if (++num_steps > kMaxSteps) {
      mutex_.Unlock();
      context_
          ->Lose(absl::StrCat("the driver did not answer in ",
                              absl::FormatDuration(context_->watchdog())))
          .IgnoreError();
      mutex_.Lock();
    }
  }
}

}  // namespace actserve
