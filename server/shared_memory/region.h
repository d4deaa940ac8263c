#ifndef ACTSERVE_SERVER_SHARED_MEMORY_REGION_H_
#define ACTSERVE_SERVER_SHARED_MEMORY_REGION_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/device/shared_device_memory.h"
#include "proto/shared_memory/control.h"

namespace actserve {

// Bounds the bytes of all regions. One client may hold at most kShare times
// what it leaves free, as in MemoryBudget. Thread-safe.
class RegionBudget {
 public:
  static constexpr int64_t kShare = 4;

  explicit RegionBudget(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Counts `bytes` more of a client that holds `held_bytes` already. False,
  // and counts nothing, if they are too many.
  bool Take(int64_t bytes, int64_t held_bytes);
  void GiveBack(int64_t bytes) { used_bytes_ -= bytes; }

  int64_t used_bytes() const { return used_bytes_; }
  int64_t max_bytes() const { return max_bytes_; }

 private:
  const int64_t max_bytes_;
  std::atomic<int64_t> used_bytes_ = 0;
};

// Memory that a client has shared, mapped for reading and writing as long as
// this object lives. The client may change its contents at any time, but not
// take it away. Immutable; thread-safe.
class Region {
 public:
  // Which memory it is, however often it is offered.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };

  // Maps the whole memory of `fd`, which must be a memfd of user `owner`,
  // sealed against shrinking. `held_bytes` as in RegionBudget::Take(); `budget`
  // must outlive the region.
  //   InvalidArgument    no memory, not sealed, not writable, empty
  //   PermissionDenied   another user's
  //   ResourceExhausted  more than the budget has, or the system
  static absl::StatusOr<std::shared_ptr<const Region>> Map(
      const shared_memory::Descriptor& fd, uid_t owner, int64_t held_bytes,
      RegionBudget* budget);
  // The region that is `memory`, memory of the device. In this process its
  // place is taken by as many zeros, which can be read but not written: what
  // comes to its place by mistake or malice does no harm. `budget` only counts.
  //   ResourceExhausted  the system has no room for so many addresses
  static absl::StatusOr<std::shared_ptr<const Region>> OfDevice(
      std::shared_ptr<const SharedDeviceMemory> memory, RegionBudget* budget);
  ~Region();

  bool is_on_device() const { return device_ != nullptr; }
  // Where the device has what At() returned, if is_on_device().
  std::byte* OnDevice(const std::byte* place) const;
  // The place of `size_bytes` bytes at `offset`; null if not all of them lie in
  // the region.
  std::byte* At(uint64_t offset, uint64_t size_bytes) const {
    if (offset > size_bytes_ || size_bytes > size_bytes_ - offset) {
      return nullptr;
    }
    return data_ + offset;
  }
  uint64_t size_bytes() const { return size_bytes_; }
  const Identity& identity() const { return identity_; }

 private:
  Region(std::byte* data, uint64_t size_bytes, const Identity& identity,
         std::shared_ptr<const SharedDeviceMemory> device, RegionBudget* budget)
      : data_(data),
        size_bytes_(size_bytes),
        identity_(identity),
        device_(std::move(device)),
        budget_(*budget) {}

  std::byte* const data_;
  const uint64_t size_bytes_;
  const Identity identity_;
  // Null: memory of the host.
  const std::shared_ptr<const SharedDeviceMemory> device_;
  RegionBudget& budget_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SHARED_MEMORY_REGION_H_
