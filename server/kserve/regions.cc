#include "server/kserve/regions.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve::kserve {
namespace {

using inference::SystemSharedMemoryRegisterRequest;

bool IsPlain(absl::string_view name, size_t max_bytes) {
  return !name.empty() && name.size() <= max_bytes &&
         std::ranges::all_of(name, [](unsigned char c) {
           return c > 0x20 && c < 0x7F && c != '/';
         });
}

absl::Status CheckName(const std::string& name) {
  if (IsPlain(name, Regions::kMaxNameBytes)) return absl::OkStatus();
  return InvalidArgument("name: ", Quoted(name), ", must have 1 to ",
                         Regions::kMaxNameBytes,
                         " visible ASCII characters and no slash");
}

// The name of a file in the folder of shared memory.
absl::StatusOr<std::string> FileOf(absl::string_view key) {
  constexpr size_t kMaxFileName = 255;
  absl::ConsumePrefix(&key, "/");
  if (!IsPlain(key, kMaxFileName) || key[0] == '.') {
    return InvalidArgument(
        "key: must be one name of visible ASCII characters, with at most one "
        "slash, in front");
  }
  // Those of this server, and semaphores.
  for (const absl::string_view reserved : {"actserve", "sem."}) {
    if (absl::StartsWith(key, reserved)) {
      return InvalidArgument("key: begins with the reserved ", reserved);
    }
  }
  return absl::StrCat("/", key);
}

// Opens the memory, if it may be used. All reasons look alike, so that nobody
// learns what else is there.
absl::StatusOr<shared_memory::Descriptor> Open(const std::string& file,
                                               const std::string& name,
                                               uint64_t* size_bytes) {
  shared_memory::Descriptor opened(shm_open(file.c_str(), O_RDWR, 0));
  struct stat info = {};
  struct statfs system = {};
  const bool is_usable =
      opened.is_open() && fstat(opened.get(), &info) == 0 &&
      fstatfs(opened.get(), &system) == 0 && S_ISREG(info.st_mode) &&
      system.f_type == TMPFS_MAGIC && info.st_uid == geteuid();
  if (!is_usable) {
    return InvalidArgument(
        "Unable to open shared memory region: ", Quoted(name),
        "; it must be POSIX shared memory of the user that "
        "the server runs as");
  }
  *size_bytes = static_cast<uint64_t>(info.st_size);
  return opened;
}

// Bytes [offset, offset + size) of `total`.
bool IsWithin(uint64_t offset, uint64_t size, uint64_t total) {
  return size <= total && offset <= total - size;
}

// The server writes no byte beyond the end of the memory: it would grow.
absl::Status CheckStillThere(int file, uint64_t end, absl::string_view what) {
  struct stat info = {};
  if (fstat(file, &info) == 0 && static_cast<uint64_t>(info.st_size) >= end) {
    return absl::OkStatus();
  }
  return InvalidArgument(what, ": the shared memory has become smaller");
}

}  // namespace

absl::Status Regions::Register(
    const CallerId& caller, const SystemSharedMemoryRegisterRequest& request) {
  ACTSERVE_RETURN_IF_ERROR(CheckName(request.name()));
  ACTSERVE_ASSIGN_OR_RETURN(const std::string file, FileOf(request.key()));
  if (request.byte_size() == 0) return InvalidArgument("byte_size: 0");
  uint64_t size_bytes = 0;
  ACTSERVE_ASSIGN_OR_RETURN(shared_memory::Descriptor opened,
                            Open(file, request.name(), &size_bytes));
  if (!IsWithin(request.offset(), request.byte_size(), size_bytes)) {
    return InvalidArgument("byte_size: ", request.byte_size(), " at offset ",
                           request.offset(), " of ", size_bytes,
                           " bytes of shared memory");
  }
  auto region = std::make_shared<Region>();
  region->file = std::move(opened);
  region->key = request.key();
  region->offset = request.offset();
  region->size_bytes = request.byte_size();
  absl::MutexLock lock(&mu_);
  OfPeer& regions = regions_[caller.peer];
  if (regions.contains(request.name())) {
    return absl::AlreadyExistsError(absl::StrCat("shared memory region ",
                                                 Quoted(request.name()),
                                                 " already in manager"));
  }
  if (regions.size() >= kMaxRegionsOfPeer || num_regions_ >= kMaxRegions) {
    const size_t num_regions = regions.size();
    if (regions.empty()) regions_.erase(caller.peer);
    return absl::ResourceExhaustedError(absl::StrCat(
        num_regions, " shared memory regions of this caller and ", num_regions_,
        " of all; limits ", kMaxRegionsOfPeer, " and ", kMaxRegions));
  }
  regions[request.name()] = std::move(region);
  ++num_regions_;
  return absl::OkStatus();
}

void Regions::Unregister(const CallerId& caller, const std::string& name) {
  absl::MutexLock lock(&mu_);
  const auto found = regions_.find(caller.peer);
  if (found == regions_.end()) return;
  OfPeer& regions = found->second;
  const size_t num_before = regions.size();
  if (name.empty()) {
    regions.clear();
  } else {
    regions.erase(name);
  }
  num_regions_ -= num_before - regions.size();
  if (regions.empty()) regions_.erase(found);
}

absl::StatusOr<inference::SystemSharedMemoryStatusResponse> Regions::Status(
    const CallerId& caller, const std::string& name) {
  inference::SystemSharedMemoryStatusResponse response;
  absl::MutexLock lock(&mu_);
  const auto found = regions_.find(caller.peer);
  if (found != regions_.end()) {
    for (const auto& [each, region] : found->second) {
      if (!name.empty() && name != each) continue;
      auto& status = (*response.mutable_regions())[each];
      status.set_name(each);
      status.set_key(region->key);
      status.set_offset(region->offset);
      status.set_byte_size(region->size_bytes);
    }
  }
  if (!name.empty() && response.regions().empty()) {
    return absl::NotFoundError(absl::StrCat(
        "Unable to find system shared memory region: ", Quoted(name)));
  }
  return response;
}

absl::StatusOr<std::shared_ptr<const Regions::Region>> Regions::Find(
    const CallerId& caller, const RegionRange& range, absl::string_view what) {
  std::shared_ptr<const Region> region;
  {
    absl::MutexLock lock(&mu_);
    const auto of_peer = regions_.find(caller.peer);
    if (of_peer != regions_.end()) {
      const auto found = of_peer->second.find(range.region);
      if (found != of_peer->second.end()) region = found->second;
    }
  }
  if (region == nullptr) {
    return InvalidArgument(
        what, ": Unable to find shared memory region: ", Quoted(range.region));
  }
  if (!IsWithin(range.offset, range.size_bytes, region->size_bytes)) {
    return InvalidArgument(what, ": ", range.size_bytes, " bytes at ",
                           range.offset, " of region ", Quoted(range.region),
                           ", which has ", region->size_bytes);
  }
  return region;
}

absl::Status Regions::Check(const CallerId& caller, const RegionRange& range,
                            absl::string_view what) {
  return Find(caller, range, what).status();
}

absl::Status Regions::Read(const CallerId& caller, const RegionRange& range,
                           absl::string_view what,
                           absl::Span<std::byte> bytes) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto region, Find(caller, range, what));
  uint64_t place = region->offset + range.offset;
  while (!bytes.empty()) {
    const ssize_t num_read = pread(region->file.get(), bytes.data(),
                                   bytes.size(), static_cast<off_t>(place));
    if (num_read < 0 && errno == EINTR) continue;
    if (num_read <= 0) {
      return InvalidArgument(what, ": the shared memory has become smaller");
    }
    bytes.remove_prefix(static_cast<size_t>(num_read));
    place += static_cast<uint64_t>(num_read);
  }
  return absl::OkStatus();
}

absl::Status Regions::Write(const CallerId& caller, const RegionRange& range,
                            absl::string_view what,
                            absl::Span<const std::byte> bytes) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto region, Find(caller, range, what));
  if (bytes.size() > range.size_bytes) {
    return InvalidArgument(what, ": shared memory of ", range.size_bytes,
                           " bytes should be at least ", bytes.size(),
                           " bytes to hold the result");
  }
  uint64_t place = region->offset + range.offset;
  ACTSERVE_RETURN_IF_ERROR(
      CheckStillThere(region->file.get(), place + bytes.size(), what));
  while (!bytes.empty()) {
    const ssize_t num_written = pwrite(region->file.get(), bytes.data(),
                                       bytes.size(), static_cast<off_t>(place));
    if (num_written < 0 && errno == EINTR) continue;
    if (num_written <= 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat(what, ": the shared memory cannot be written"));
    }
    bytes.remove_prefix(static_cast<size_t>(num_written));
    place += static_cast<uint64_t>(num_written);
  }
  return absl::OkStatus();
}

}  // namespace actserve::kserve
