#include "client/cpp/cancellation.h"

namespace actserve {

void Cancellation::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : running_) context->TryCancel();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

bool Cancellation::AwaitFor(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), timeout);
}

void Cancellation::Add(grpc::ClientContext& context) {
  absl::MutexLock lock(&mutex_);
  running_.insert(&context);
  // Before the call starts, this makes it fail at once.
  if (cancelled_) context.TryCancel();
}

void Cancellation::Remove(grpc::ClientContext& context) {
  absl::MutexLock lock(&mutex_);
  running_.erase(&context);
}

}  // namespace actserve
