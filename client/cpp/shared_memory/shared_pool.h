#ifndef ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_POOL_H_
#define ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/shared_memory/control.h"

namespace actserve {

// Memory that a client can share with a server: regions, each of them a memfd,
// and blocks of those. Regions are made as blocks need them; one that is unused
// goes when more than kMaxIdleBytes are. Thread-safe. Blocks may outlive the
// pool.
class SharedPool : public std::enable_shared_from_this<SharedPool> {
 public:
  static constexpr size_t kMaxIdleBytes = size_t{512} << 20;
  // Of all but the largest regions.
  static constexpr size_t kRegionBytes = size_t{64} << 20;
  static constexpr size_t kAlignment = 64;

  // Mapped as long as it lives.
  class Region {
   public:
    Region(shared_memory::Descriptor fd, std::byte* data, size_t size_bytes)
        : fd_(std::move(fd)), data_(data), size_bytes_(size_bytes) {}
    ~Region();
    int fd() const { return fd_.get(); }
    std::byte* data() const { return data_; }
    size_t size_bytes() const { return size_bytes_; }

   private:
    friend class SharedPool;
    const shared_memory::Descriptor fd_;
    std::byte* const data_;
    const size_t size_bytes_;
    // The free parts, size by offset; guarded by the mutex of the pool.
    std::map<size_t, size_t> free_;
  };
  using RegionPtr = std::shared_ptr<Region>;

  // Bytes of a region.
  struct Place {
    RegionPtr region;
    size_t offset = 0;
  };

  // Memory of the caller's, until it is destroyed; its contents are undefined.
  // Move-only.
  class Block {
   public:
    Block() = default;
    Block(Block&& other) noexcept { *this = std::move(other); }
    Block& operator=(Block&& other) noexcept;
    ~Block();
    std::byte* data() const { return place_.region->data() + place_.offset; }
    size_t size_bytes() const { return size_bytes_; }
    const Place& place() const { return place_; }
    // Its region gives no more blocks: somebody may write to this one even when
    // it is destroyed.
    void Retire();

   private:
    friend class SharedPool;
    std::shared_ptr<SharedPool> pool_;
    Place place_;
    size_t size_bytes_ = 0;
  };

  // Regions of at most `max_bytes` altogether.
  static std::shared_ptr<SharedPool> Create(size_t max_bytes);

  //   ResourceExhausted  more than `max_bytes`, or than the system has
  absl::StatusOr<Block> Allocate(size_t size_bytes);

  // Where that memory is; nullopt if it is not all in one region.
  std::optional<Place> Find(const std::byte* data, size_t size_bytes) const;

  // Grows whenever a region goes.
  uint64_t num_gone() const { return num_gone_; }

 private:
  explicit SharedPool(size_t max_bytes) : max_bytes_(max_bytes) {}
  absl::StatusOr<RegionPtr> MakeRegion(size_t size_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Free(const Place& place, size_t size_bytes);
  void Retire(const RegionPtr& region);
  void DropIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t max_bytes_;
  std::atomic<uint64_t> num_gone_ = 0;
  mutable absl::Mutex mu_;
  std::vector<RegionPtr> regions_ ABSL_GUARDED_BY(mu_);
  size_t size_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SHARED_MEMORY_SHARED_POOL_H_
