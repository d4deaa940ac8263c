#include "server/state/residuals.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "kernels/device/copy_fragments.h"

namespace actserve {
namespace {

std::string RandomHandle() {
  std::string handle(Residuals::kHandleBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(handle.data()),
                 static_cast<int>(handle.size())) != 1) {
    // A handle that can be guessed would be worse than none at all.
    std::abort();
  }
  return handle;
}

}  // namespace

Residuals::Residuals(const Options& options, const Clock* clock)
    : options_(options), clock_(clock) {}

Residuals::Handle Residuals::Put(std::shared_ptr<const Residual> residual,
                                 absl::Duration lease) {
  std::vector<std::shared_ptr<const Residual>> garbage;
  const int64_t charge = Charge(*residual);
  Handle handle = RandomHandle();
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  const Tenant* const tenant = residual->tenant;
  const bool fits =
      (tenant == nullptr || MakeRoomInQuota(*tenant, charge, now)) &&
      MakeRoom(*residual, now);
  garbage.swap(dropped_);
  if (!fits) {
    ++losses_.refused;
    return "";
  }
  const absl::Time expires = now + lease;
  bytes_ += charge;
  if (tenant != nullptr) usage_[tenant].bytes += charge;
  if (residual->resident == nullptr) host_bytes_ += charge;
  live_.emplace(expires, handle);
  entries_.emplace(handle, Entry{std::move(residual), expires});
  return handle;
}

std::shared_ptr<const Residual> Residuals::Get(absl::string_view handle,
                                               const Tenant* tenant) {
  absl::MutexLock lock(&mu_);
  auto it = entries_.find(handle);
  if (it == entries_.end()) return nullptr;
  Entry& entry = it->second;
  const absl::Time now = clock_->Now();
  if (entry.expires <= now || entry.residual->tenant != tenant) return nullptr;
  if (!entry.spent) {
    live_.erase({entry.expires, it->first});
    entry.spent = true;
    entry.expires = std::min(entry.expires, now + options_.spent_grace);
    spent_.emplace(entry.expires, it->first);
    if (tenant != nullptr) {
      usage_[tenant].spent.emplace(entry.expires, it->first);
    }
  }
  return entry.residual;
}

bool Residuals::Release(absl::string_view handle, const Tenant* tenant) {
  std::vector<std::shared_ptr<const Residual>> garbage;
  absl::MutexLock lock(&mu_);
  auto it = entries_.find(handle);
  if (it == entries_.end() || it->second.residual->tenant != tenant) {
    return false;
  }
  const bool held = it->second.expires > clock_->Now();
  Drop(it);
  garbage.swap(dropped_);
  return held;
}

void Residuals::Sweep() {
  std::vector<std::shared_ptr<const Residual>> garbage;
  absl::MutexLock lock(&mu_);
  DropExpired(clock_->Now());
  garbage.swap(dropped_);
}

int64_t Residuals::bytes() const {
  absl::MutexLock lock(&mu_);
  return bytes_;
}

int64_t Residuals::count() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int64_t>(entries_.size());
}

int64_t Residuals::resident_bytes() const {
  absl::MutexLock lock(&mu_);
  return bytes_ - host_bytes_;
}

Residuals::Losses Residuals::losses() const {
  absl::MutexLock lock(&mu_);
  return losses_;
}

int64_t Residuals::Charge(const Residual& residual) {
  constexpr int64_t kBookkeepingBytes = 512;
  return static_cast<int64_t>(residual.size_bytes) + kBookkeepingBytes;
}

bool Residuals::MakeRoom(const Residual& residual, absl::Time now) {
  const int64_t charge = Charge(residual);
  const int64_t host_charge = residual.resident == nullptr ? charge : 0;
  if (charge > options_.max_bytes || host_charge > options_.max_host_bytes ||
      options_.max_count < 1) {
    return false;
  }
  const auto fits = [&] {
    return bytes_ <= options_.max_bytes - charge &&
           host_bytes_ <= options_.max_host_bytes - host_charge &&
           static_cast<int64_t>(entries_.size()) < options_.max_count;
  };
  if (!fits()) DropExpired(now);
  while (!fits() && !spent_.empty()) {
    Drop(entries_.find(spent_.begin()->second));
  }
  return fits();
}

bool Residuals::MakeRoomInQuota(const Tenant& tenant, int64_t charge,
                                absl::Time now) {
  const int64_t limit = tenant.max_residual_bytes();
  if (charge > limit) return false;
  const auto fits = [&] {
    const auto usage = usage_.find(&tenant);
    return usage == usage_.end() || usage->second.bytes <= limit - charge;
  };
  if (!fits()) DropExpired(now);
  while (!fits()) {
    const ByExpiry& spent = usage_[&tenant].spent;
    if (spent.empty()) return false;
    Drop(entries_.find(spent.begin()->second));
  }
  return true;
}

void Residuals::DropExpired(absl::Time now) {
  for (ByExpiry* set : {&spent_, &live_}) {
    while (!set->empty() && set->begin()->first <= now) {
      losses_.expired += set == &live_;
      Drop(entries_.find(set->begin()->second));
    }
  }
}

void Residuals::Drop(Entries::iterator it) {
  Entry& entry = it->second;
  (entry.spent ? spent_ : live_).erase({entry.expires, it->first});
  const int64_t charge = Charge(*entry.residual);
  const auto usage = usage_.find(entry.residual->tenant);
  if (usage != usage_.end()) {
    usage->second.bytes -= charge;
    usage->second.spent.erase({entry.expires, it->first});
    if (usage->second.bytes == 0) usage_.erase(usage);
  }
  bytes_ -= charge;
  if (entry.residual->resident == nullptr) host_bytes_ -= charge;
  dropped_.push_back(std::move(entry.residual));
  entries_.erase(it);
}

size_t SizeBytes(const TensorInputs& inputs) {
  size_t size_bytes = 0;
  for (const auto& input : inputs) {
    for (const Fragment& fragment : input) size_bytes += fragment.size_bytes;
  }
  return size_bytes;
}

bool MayStay(const TensorInputs& inputs) {
  size_t num_fragments = 0;
  for (const auto& input : inputs) num_fragments += input.size();
  const size_t size_bytes = SizeBytes(inputs);
  return size_bytes >= kMinSharedBytes &&
         size_bytes >= num_fragments * kMinFragmentBytes;
}

void HoldInputs(TensorInputs inputs, std::shared_ptr<const void> owner,
                Residual* residual) {
  residual->size_bytes = SizeBytes(inputs);
  residual->inputs = std::move(inputs);
  residual->owner = std::move(owner);
  if (residual->owner == nullptr) {
    const std::shared_ptr<std::byte[]> copy(
        new std::byte[residual->size_bytes]);
    residual->owner = copy;
    std::byte* to = copy.get();
    for (auto& input : residual->inputs) {
      std::byte* const start = to;
      to = CopyFragments(input, to);
      input.clear();
      if (to != start) {
        input.push_back({start, static_cast<size_t>(to - start)});
      }
    }
  }
  for (const auto& input : residual->inputs) {
    residual->size_bytes += input.size() * kFragmentBytes;
  }
}

}  // namespace actserve
