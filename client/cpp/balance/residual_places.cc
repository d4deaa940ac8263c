#include "client/cpp/balance/residual_places.h"

#include <utility>

namespace actserve {

void ResidualPlaces::Put(const std::string& handle,
                         std::shared_ptr<Replica> replica) {
  absl::MutexLock lock(&mutex_);
  if (!replicas_.insert_or_assign(handle, std::move(replica)).second) return;
  handles_.push_back(handle);
  if (handles_.size() > max_handles_) {
    replicas_.erase(handles_.front());
    handles_.pop_front();
  }
}

std::shared_ptr<Replica> ResidualPlaces::Find(const std::string& handle) {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(handle);
  return found == replicas_.end() ? nullptr : found->second;
}

void ResidualPlaces::Erase(const std::string& handle) {
  absl::MutexLock lock(&mutex_);
  replicas_.erase(handle);
}

}  // namespace actserve
