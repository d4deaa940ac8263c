#include "server/shared_memory/region.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace actserve {

bool RegionBudget::Take(int64_t bytes, int64_t held_bytes) {
  int64_t used = used_bytes_.load();
  do {
    // Without overflow: all of these are at most max_bytes_, but for `bytes`.
    const int64_t free = max_bytes_ - used;
    if (bytes > free || held_bytes + bytes > kShare * (free - bytes)) {
      return false;
    }
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes));
  return true;
}

absl::StatusOr<std::shared_ptr<const Region>> Region::Map(
    const shared_memory::Descriptor& fd, uid_t owner, int64_t held_bytes,
    RegionBudget* budget) {
  struct stat info = {};
  if (!fd.is_open() || fstat(fd.get(), &info) != 0) {
    return absl::InvalidArgumentError("a region needs a descriptor");
  }
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (!S_ISREG(info.st_mode) || seals < 0) {
    return absl::InvalidArgumentError("a region must be a memfd");
  }
  // Whoever takes one of its pages out again leaves nothing to read there, and
  // who reads it all the same gets a SIGBUS. Other pages come back as zeros.
  struct statfs kind = {};
  if (fstatfs(fd.get(), &kind) != 0 || kind.f_type == HUGETLBFS_MAGIC) {
    return absl::InvalidArgumentError(
        "a region must not be of huge pages (MFD_HUGETLB)");
  }
  if ((seals & F_SEAL_SHRINK) == 0) {
    return absl::InvalidArgumentError(
        "a region must be sealed against shrinking (F_SEAL_SHRINK)");
  }
  if (info.st_uid != owner) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the region belongs to user ", info.st_uid, ", the caller is ", owner));
  }
  // After the seal: from now on it only grows.
  if (fstat(fd.get(), &info) != 0 || info.st_size <= 0) {
    return absl::InvalidArgumentError("a region must not be empty");
  }
  if (!budget->Take(info.st_size, held_bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "region of ", info.st_size, " bytes beside ", held_bytes,
        " of this client and ", budget->used_bytes(),
        " of all; limit --max_shared_memory_bytes=", budget->max_bytes(),
        ", of which a client leaves a fifth to others"));
  }
  void* const data = mmap(nullptr, static_cast<size_t>(info.st_size),
                          PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) {
    const int error = errno;
    budget->GiveBack(info.st_size);
    if (error == EACCES || error == EPERM) {
      return absl::InvalidArgumentError("a region must be writable");
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot map a region of ", info.st_size,
                     " bytes: ", std::strerror(error)));
  }
  // Fewer faults where the system allows it.
  madvise(data, static_cast<size_t>(info.st_size), MADV_HUGEPAGE);
  return std::shared_ptr<const Region>(new Region(
      static_cast<std::byte*>(data), static_cast<uint64_t>(info.st_size),
      {info.st_dev, info.st_ino}, /*device=*/nullptr, budget));
}

absl::StatusOr<std::shared_ptr<const Region>> Region::OfDevice(
    std::shared_ptr<const SharedDeviceMemory> memory, RegionBudget* budget) {
  const uint64_t size_bytes = memory->size_bytes();
  void* const data = mmap(nullptr, size_bytes, PROT_READ,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no addresses for ", size_bytes,
                     " bytes of device memory: ", std::strerror(errno)));
  }
  budget->Take(static_cast<int64_t>(size_bytes), 0);
  return std::shared_ptr<const Region>(new Region(static_cast<std::byte*>(data),
                                                  size_bytes, Identity(),
                                                  std::move(memory), budget));
}

std::byte* Region::OnDevice(const std::byte* place) const {
  const uint64_t address =
      device_->address() + static_cast<uint64_t>(place - data_);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is an integer there.
  return reinterpret_cast<std::byte*>(address);
}

Region::~Region() {
  munmap(data_, size_bytes_);
  budget_.GiveBack(static_cast<int64_t>(size_bytes_));
}

}  // namespace actserve
