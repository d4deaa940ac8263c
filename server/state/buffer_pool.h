#ifndef ACTSERVE_SERVER_STATE_BUFFER_POOL_H_
#define ACTSERVE_SERVER_STATE_BUFFER_POOL_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "server/state/memory_budget.h"

namespace actserve {

class BufferPool;

// Memory for one result, with undefined contents. Move-only; goes back to its
// pool when destroyed.
class Buffer {
 public:
  Buffer() = default;
  // Memory of somebody else, who frees it.
  explicit Buffer(absl::Span<std::byte> memory)
      : data_(memory.data()), size_bytes_(memory.size()) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  // That of a pool is aligned to 64 bytes, from BufferPool::kHugeBytes on to
  // 2 MiB.
  std::byte* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

  // Keeps the charge for its memory until the buffer goes, or gives it up.
  void Hold(MemoryBudget::Charge charge) { charge_ = std::move(charge); }
  MemoryBudget::Charge ReleaseCharge() { return std::move(charge_); }

 private:
  friend class BufferPool;
  std::shared_ptr<BufferPool> pool_;
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
  size_t capacity_bytes_ = 0;
  MemoryBudget::Charge charge_;
};

// Keeps buffers for reuse. A new buffer of 64 MiB costs 16,384 page faults
// before the first element is written; a reused one costs none. Huge pages make
// the first use cheap as well.
//
// Sizes are rounded up to a class, four to an octave. Thread-safe. Lives as
// long as its last buffer.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  // Buffers from this size on are aligned to 2 MiB and advised to use huge
  // pages.
  static constexpr size_t kHugeBytes = size_t{2} << 20;
  // Smaller buffers are not pooled, because malloc is as fast.
  static constexpr size_t kMinPooledBytes = size_t{32} << 10;

  // Keeps at most `max_idle_bytes`; further memory goes back to the system at
  // once.
  static std::shared_ptr<BufferPool> Create(size_t max_idle_bytes);
  ~BufferPool();

  // What a buffer of `size_bytes` really takes.
  static size_t CapacityBytes(size_t size_bytes);

  // Dies if the machine has no memory, as operator new does.
  Buffer Get(size_t size_bytes);

  // Gives idle buffers back to the system until at most `max_bytes` are left,
  // the largest ones first.
  void DropIdle(size_t max_bytes);

  size_t idle_bytes() const;

 private:
  explicit BufferPool(size_t max_idle_bytes)
      : max_idle_bytes_(max_idle_bytes) {}
  friend class Buffer;
  void Put(std::byte* data, size_t capacity_bytes);

  const size_t max_idle_bytes_;
  mutable absl::Mutex mu_;
  size_t idle_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // By capacity; the last one given back is the first to be used again.
  absl::flat_hash_map<size_t, std::vector<std::byte*>> idle_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_BUFFER_POOL_H_
