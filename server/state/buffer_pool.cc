#include "server/state/buffer_pool.h"

#include <sys/mman.h>

#include <bit>
#include <new>
#include <utility>

namespace actserve {
namespace {

size_t AlignmentOf(size_t capacity_bytes) {
  return capacity_bytes >= BufferPool::kHugeBytes ? BufferPool::kHugeBytes : 64;
}

std::byte* Allocate(size_t capacity_bytes) {
  auto* data = static_cast<std::byte*>(::operator new(
      capacity_bytes, std::align_val_t{AlignmentOf(capacity_bytes)}));
  if (capacity_bytes >= BufferPool::kHugeBytes) {
    // Advice only: without huge pages it is slower, not wrong.
    madvise(data, capacity_bytes, MADV_HUGEPAGE);
  }
  return data;
}

void Free(std::byte* data, size_t capacity_bytes) {
  ::operator delete(data, std::align_val_t{AlignmentOf(capacity_bytes)});
}

}  // namespace

// The smallest class that holds `size_bytes`: m * 2^k with m in 4..7, and
// below what is pooled just whole cache lines.
size_t BufferPool::CapacityBytes(size_t size_bytes) {
  const size_t step =
      size_bytes < kMinPooledBytes ? 64 : std::bit_floor(size_bytes) / 4;
  return (size_bytes + step - 1) / step * step;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  if (pool_ != nullptr) pool_->Put(data_, capacity_bytes_);
  pool_ = std::move(other.pool_);
  data_ = std::exchange(other.data_, nullptr);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  capacity_bytes_ = std::exchange(other.capacity_bytes_, 0);
  charge_ = std::exchange(other.charge_, {});
  return *this;
}

Buffer::~Buffer() {
  if (pool_ != nullptr) pool_->Put(data_, capacity_bytes_);
}

std::shared_ptr<BufferPool> BufferPool::Create(size_t max_idle_bytes) {
  return std::shared_ptr<BufferPool>(new BufferPool(max_idle_bytes));
}

BufferPool::~BufferPool() {
  for (auto& [capacity_bytes, buffers] : idle_) {
    for (std::byte* data : buffers) Free(data, capacity_bytes);
  }
}

Buffer BufferPool::Get(size_t size_bytes) {
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  buffer.pool_ = shared_from_this();
  buffer.size_bytes_ = size_bytes;
  buffer.capacity_bytes_ = CapacityBytes(size_bytes);
  if (buffer.capacity_bytes_ >= kMinPooledBytes) {
    absl::MutexLock lock(&mu_);
    auto it = idle_.find(buffer.capacity_bytes_);
    if (it != idle_.end() && !it->second.empty()) {
      buffer.data_ = it->second.back();
      it->second.pop_back();
      idle_bytes_ -= buffer.capacity_bytes_;
      return buffer;
    }
  }
  buffer.data_ = Allocate(buffer.capacity_bytes_);
  return buffer;
}

void BufferPool::DropIdle(size_t max_bytes) {
  std::vector<std::pair<std::byte*, size_t>> dropped;
  {
    absl::MutexLock lock(&mu_);
    while (idle_bytes_ > max_bytes) {
      auto largest = idle_.end();
      for (auto it = idle_.begin(); it != idle_.end(); ++it) {
        if (!it->second.empty() &&
            (largest == idle_.end() || it->first > largest->first)) {
          largest = it;
        }
      }
      dropped.emplace_back(largest->second.back(), largest->first);
      largest->second.pop_back();
      idle_bytes_ -= largest->first;
    }
  }
  for (const auto& [data, capacity_bytes] : dropped) Free(data, capacity_bytes);
}

size_t BufferPool::idle_bytes() const {
  absl::MutexLock lock(&mu_);
  return idle_bytes_;
}

void BufferPool::Put(std::byte* data, size_t capacity_bytes) {
  if (capacity_bytes >= kMinPooledBytes) {
    absl::MutexLock lock(&mu_);
    if (capacity_bytes <= max_idle_bytes_ - idle_bytes_) {
      idle_[capacity_bytes].push_back(data);
      idle_bytes_ += capacity_bytes;
      return;
    }
  }
  Free(data, capacity_bytes);
}

}  // namespace actserve
