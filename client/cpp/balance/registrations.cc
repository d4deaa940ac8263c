#include "client/cpp/balance/registrations.h"

namespace actserve {

void Registrations::Put(const std::string& id,
                        const v1::RegisterActivationRequest& request) {
  absl::MutexLock lock(&mutex_);
  requests_[id] = request;
}

std::optional<v1::RegisterActivationRequest> Registrations::Find(
    const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto found = requests_.find(id);
  if (found == requests_.end()) return std::nullopt;
  return found->second;
}

void Registrations::Adopt(const std::string& asked, const std::string& id) {
  absl::MutexLock lock(&mutex_);
  if (asked == id) {
    adopted_.erase(asked);
  } else {
    adopted_[asked] = id;
  }
}

std::string Registrations::IdOf(const std::string& asked) {
  absl::MutexLock lock(&mutex_);
  if (adopted_.empty()) return asked;
  const auto found = adopted_.find(asked);
  return found == adopted_.end() ? asked : found->second;
}

}  // namespace actserve
