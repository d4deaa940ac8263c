#include "client/cpp/shared_memory/shared_pool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr size_t kPageBytes = 4096;

size_t RoundUp(size_t size_bytes, size_t unit) {
  return (size_bytes + unit - 1) / unit * unit;
}

// What a block takes. Large ones have pages of their own.
size_t CapacityBytes(size_t size_bytes) {
  return RoundUp(std::max<size_t>(size_bytes, 1), size_bytes >= kPageBytes
                                                      ? kPageBytes
                                                      : SharedPool::kAlignment);
}

absl::Status NoMemory(absl::string_view what, size_t size_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("cannot share ", size_bytes,
                                                   " bytes: ", what, ": ",
                                                   std::strerror(errno)));
}

}  // namespace

SharedPool::Region::~Region() { munmap(data_, size_bytes_); }

SharedPool::Block& SharedPool::Block::operator=(Block&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(place_, other.place_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

SharedPool::Block::~Block() {
  if (pool_ != nullptr) pool_->Free(place_, size_bytes_);
}

void SharedPool::Block::Retire() {
  if (pool_ != nullptr) pool_->Retire(place_.region);
}

std::shared_ptr<SharedPool> SharedPool::Create(size_t max_bytes) {
  return std::shared_ptr<SharedPool>(new SharedPool(max_bytes));
}

absl::StatusOr<SharedPool::Block> SharedPool::Allocate(size_t size_bytes) {
  if (size_bytes > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot share ", size_bytes, " bytes, limit ", max_bytes_));
  }
  const size_t capacity_bytes = CapacityBytes(size_bytes);
  Block block;
  const auto take = [&](const RegionPtr& region,
                        std::map<size_t, size_t>::iterator part) {
    const auto [offset, free_bytes] = *part;
    region->free_.erase(part);
    if (free_bytes > capacity_bytes) {
      region->free_.emplace(offset + capacity_bytes,
                            free_bytes - capacity_bytes);
    }
    block.place_ = {region, offset};
  };
  absl::MutexLock lock(&mu_);
  for (const RegionPtr& region : regions_) {
    const auto part = std::ranges::find_if(
        region->free_,
        [&](const auto& each) { return each.second >= capacity_bytes; });
    if (part == region->free_.end()) continue;
    take(region, part);
    break;
  }
  if (block.place_.region == nullptr) {
    ACTSERVE_ASSIGN_OR_RETURN(const RegionPtr region,
                              MakeRegion(capacity_bytes));
    take(region, region->free_.begin());
  }
  block.pool_ = shared_from_this();
  block.size_bytes_ = size_bytes;
  return block;
}

absl::StatusOr<SharedPool::RegionPtr> SharedPool::MakeRegion(
    size_t size_bytes) {
  const size_t region_bytes =
      RoundUp(std::max(size_bytes, kRegionBytes), kPageBytes);
  if (region_bytes > max_bytes_ - size_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot share ", region_bytes, " bytes beside ",
                     size_bytes_, ", limit ", max_bytes_));
  }
  shared_memory::Descriptor fd(
      memfd_create("actserve-region", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) return NoMemory("memfd_create", region_bytes);
  if (ftruncate(fd.get(), static_cast<off_t>(region_bytes)) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
          0) {
    return NoMemory("ftruncate", region_bytes);
  }
  void* const data = mmap(nullptr, region_bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return NoMemory("mmap", region_bytes);
  // Fewer faults where the system allows it.
  madvise(data, region_bytes, MADV_HUGEPAGE);
  auto region = std::make_shared<Region>(
      std::move(fd), static_cast<std::byte*>(data), region_bytes);
  region->free_.emplace(0, region_bytes);
  regions_.push_back(region);
  size_bytes_ += region_bytes;
  return region;
}

std::optional<SharedPool::Place> SharedPool::Find(const std::byte* data,
                                                  size_t size_bytes) const {
  absl::MutexLock lock(&mu_);
  for (const RegionPtr& region : regions_) {
    if (data < region->data() || data > region->data() + region->size_bytes()) {
      continue;
    }
    const auto offset = static_cast<size_t>(data - region->data());
    if (size_bytes > region->size_bytes() - offset) return std::nullopt;
    return Place{region, offset};
  }
  return std::nullopt;
}

void SharedPool::Free(const Place& place, size_t size_bytes) {
  absl::MutexLock lock(&mu_);
  std::map<size_t, size_t>& free = place.region->free_;
  auto part = free.emplace(place.offset, CapacityBytes(size_bytes)).first;
  if (const auto next = std::next(part);
      next != free.end() && part->first + part->second == next->first) {
    part->second += next->second;
    free.erase(next);
  }
  if (part != free.begin()) {
    if (const auto before = std::prev(part);
        before->first + before->second == part->first) {
      before->second += part->second;
      free.erase(part);
    }
  }
  DropIdle();
}

void SharedPool::Retire(const RegionPtr& region) {
  absl::MutexLock lock(&mu_);
  const auto found = std::ranges::find(regions_, region);
  if (found == regions_.end()) return;
  size_bytes_ -= region->size_bytes();
  regions_.erase(found);
  ++num_gone_;
}

void SharedPool::DropIdle() {
  const auto is_idle = [](const RegionPtr& region) {
    return region->free_.size() == 1 &&
           region->free_.begin()->second == region->size_bytes();
  };
  size_t idle_bytes = 0;
  for (const RegionPtr& region : regions_) {
    if (is_idle(region)) idle_bytes += region->size_bytes();
  }
  while (idle_bytes > kMaxIdleBytes) {
    // The last one that was made.
    const auto last =
        std::ranges::find_if(regions_.rbegin(), regions_.rend(), is_idle);
    idle_bytes -= (*last)->size_bytes();
    size_bytes_ -= (*last)->size_bytes();
    regions_.erase(std::next(last).base());
    ++num_gone_;
  }
}

}  // namespace actserve
