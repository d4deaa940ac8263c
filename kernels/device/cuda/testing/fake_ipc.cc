// The part of the fake driver that shares device memory between processes.
//
// What cuMemAlloc() gets is a memfd, and its handle says where another process
// finds that: in /proc of the process that made it. Unlike the real driver, it
// opens handles of its own process too, so that tests need not have two.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "kernels/device/cuda/testing/fake_state.h"

namespace actserve::testing {
namespace {

struct Handle {
  char name[8];
  int32_t process;
  int32_t fd;
  uint64_t inode;
  uint64_t size_bytes;
};
static_assert(sizeof(Handle) <= sizeof(CuIpcMemHandle));
constexpr char kName[8] = "fakeipc";

// Memory of this process' own, and that of others.
class SharedBlocks {
 public:
  static SharedBlocks& Get() {
    static SharedBlocks* const blocks = new SharedBlocks;
    return *blocks;
  }

  CuResult Allocate(size_t size_bytes, CuDeviceAddress* address) {
    if (size_bytes == 0) return kCuInvalidValue;
    const int fd = memfd_create("fake-device-memory", MFD_CLOEXEC);
    struct stat info = {};
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(size_bytes)) != 0 ||
        fstat(fd, &info) != 0 || !Map(fd, size_bytes, address)) {
      return kCuOutOfMemory;
    }
    std::lock_guard lock(mutex_);
    own_[*address] = {{}, getpid(), fd, info.st_ino, size_bytes};
    return kCuSuccess;
  }

  CuResult Free(CuDeviceAddress address) {
    std::lock_guard lock(mutex_);
    const auto found = own_.find(address);
    if (found == own_.end()) return kCuInvalidValue;
    Unmap(address, found->second.size_bytes);
    close(found->second.fd);
    own_.erase(found);
    return kCuSuccess;
  }

  CuResult HandleOf(CuDeviceAddress base, CuIpcMemHandle* handle) {
    std::lock_guard lock(mutex_);
    const auto found = own_.find(base);
    // So it is with memory of a pool.
    if (found == own_.end()) return kCuInvalidValue;
    Handle made = found->second;
    std::memcpy(made.name, kName, sizeof(kName));
    *handle = {};
    std::memcpy(handle->bytes, &made, sizeof(made));
    return kCuSuccess;
  }

  CuResult Open(const CuIpcMemHandle& handle, CuDeviceAddress* address) {
    Handle theirs;
    std::memcpy(&theirs, handle.bytes, sizeof(theirs));
    if (std::memcmp(theirs.name, kName, sizeof(kName)) != 0) {
      return kCuInvalidValue;
    }
    const std::string path = "/proc/" + std::to_string(theirs.process) +
                             "/fd/" + std::to_string(theirs.fd);
    std::lock_guard lock(mutex_);
    for (auto& [at, opened] : opened_) {
      if (opened.inode != theirs.inode) continue;
      ++opened.count;
      *address = at;
      return kCuSuccess;
    }
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat info = {};
    const bool is_mapped =
        fd >= 0 && fstat(fd, &info) == 0 && info.st_ino == theirs.inode &&
        info.st_size == static_cast<off_t>(theirs.size_bytes) &&
        Map(fd, theirs.size_bytes, address);
    if (fd >= 0) close(fd);
    if (!is_mapped) return kCuInvalidHandle;
    opened_[*address] = {theirs.inode, theirs.size_bytes, 1};
    FakeState::Get().knob(FakeKnob::kNumOpened) = opened_.size();
    return kCuSuccess;
  }

  CuResult Close(CuDeviceAddress address) {
    std::lock_guard lock(mutex_);
    const auto found = opened_.find(address);
    if (found == opened_.end()) return kCuInvalidValue;
    if (--found->second.count > 0) return kCuSuccess;
    Unmap(address, found->second.size_bytes);
    opened_.erase(found);
    FakeState::Get().knob(FakeKnob::kNumOpened) = opened_.size();
    return kCuSuccess;
  }

 private:
  struct Opened {
    uint64_t inode = 0;
    uint64_t size_bytes = 0;
    int count = 0;
  };

  static bool Map(int fd, size_t size_bytes, CuDeviceAddress* address) {
    void* const memory =
        mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return false;
    *address = reinterpret_cast<CuDeviceAddress>(memory);
    FakeMemory::Get().Add(*address, size_bytes);
    return true;
  }
  static void Unmap(CuDeviceAddress address, size_t size_bytes) {
    FakeMemory::Get().Remove(address);
    munmap(HostAddress(address), size_bytes);
  }

  std::mutex mutex_;
  std::map<CuDeviceAddress, Handle> own_;
  std::map<CuDeviceAddress, Opened> opened_;
};

}  // namespace
}  // namespace actserve::testing

using namespace actserve;           // NOLINT: the functions below are C's
using namespace actserve::testing;  // NOLINT

#define FAKE_CALL(name) ACTSERVE_FAKE_EXPORT CuResult name

FAKE_CALL(cuMemAlloc_v2)(CuDeviceAddress* address, size_t size_bytes) {
  return SharedBlocks::Get().Allocate(size_bytes, address);
}
FAKE_CALL(cuMemFree_v2)(CuDeviceAddress address) {
  return SharedBlocks::Get().Free(address);
}
FAKE_CALL(cuMemGetAddressRange_v2)(CuDeviceAddress* base, size_t* size_bytes,
                                   CuDeviceAddress address) {
  return FakeMemory::Get().Range(address, base, size_bytes) ? kCuSuccess
                                                            : kCuNotFound;
}
FAKE_CALL(cuPointerGetAttribute)(void* value, CuPointerAttribute attribute,
                                 CuDeviceAddress address) {
  const uint64_t id = FakeMemory::Get().IdOf(address);
  if (id == 0) return kCuInvalidValue;
  switch (attribute) {
    case kCuPointerMemoryType:
      *static_cast<unsigned*>(value) = kCuMemoryTypeDevice;
      return kCuSuccess;
    case kCuPointerBufferId:
      *static_cast<uint64_t*>(value) = id;
      return kCuSuccess;
    case kCuPointerDeviceOrdinal:
      *static_cast<int*>(value) = 0;
      return kCuSuccess;
  }
  return kCuInvalidValue;
}
FAKE_CALL(cuIpcGetMemHandle)(CuIpcMemHandle* handle, CuDeviceAddress address) {
  return SharedBlocks::Get().HandleOf(address, handle);
}
FAKE_CALL(cuIpcOpenMemHandle_v2)(CuDeviceAddress* address,
                                 CuIpcMemHandle handle, unsigned flags) {
  if (flags != kCuIpcLazyPeerAccess) return kCuInvalidValue;
  return SharedBlocks::Get().Open(handle, address);
}
FAKE_CALL(cuIpcCloseMemHandle)(CuDeviceAddress address) {
  return SharedBlocks::Get().Close(address);
}
