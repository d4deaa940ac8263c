#include "kernels/device/object_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/base/failpoint.h"
#include "kernels/base/file.h"
#include "kernels/base/sha256.h"

namespace actserve {
namespace {

// A file is this header and the object.
struct Header {
  char magic[8];
  uint64_t size_bytes;
  Sha256Digest digest;
};
constexpr char kMagic[8] = {'A', 'C', 'T', 'O', 'B', 'J', '0', '1'};
constexpr int64_t kMaxObjectBytes = int64_t{64} << 20;
constexpr absl::string_view kSuffix = ".o";
constexpr absl::string_view kTemporarySuffix = ".tmp";
// A temporary file this old belongs to a process that was killed: one is
// written in less than a second.
constexpr time_t kStaleSeconds = 10 * 60;

Header HeaderFor(absl::string_view object) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.size_bytes = object.size();
  header.digest = Sha256(std::string_view(object.data(), object.size()));
  return header;
}

// True if nobody but this user can have written it.
bool IsPrivate(const struct stat& info) {
  return info.st_uid == geteuid() && (info.st_mode & 077) == 0;
}

std::optional<std::string> ReadObject(int file) {
  struct stat info;
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || !IsPrivate(info)) {
    return std::nullopt;
  }
  Header header;
  if (!ReadAt(file, 0, &header, sizeof(header)) ||
      header.size_bytes > kMaxObjectBytes ||
      info.st_size !=
          static_cast<int64_t>(sizeof(header) + header.size_bytes)) {
    return std::nullopt;
  }
  std::string object(header.size_bytes, '\0');
  if (!ReadAt(file, sizeof(header), object.data(), object.size())) {
    return std::nullopt;
  }
  const Header want = HeaderFor(object);
  if (std::memcmp(&header, &want, sizeof(header)) != 0) return std::nullopt;
  return object;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ObjectCache>> ObjectCache::Open(
    const std::string& path, int64_t max_size_bytes) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::InternalError(
        absl::StrCat("cache directory ", path, ": mkdir: ", strerror(errno)));
  }
  const int directory =
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) {
    const int error = errno;
    const std::string message =
        absl::StrCat("cache directory ", path, ": open: ", strerror(error));
    return error == ENOTDIR || error == ELOOP || error == EACCES
               ? absl::FailedPreconditionError(message)
               : absl::InternalError(message);
  }
  std::unique_ptr<ObjectCache> cache(
      new ObjectCache(directory, max_size_bytes));
  struct stat info;
  if (fstat(directory, &info) != 0) {
    return absl::InternalError(
        absl::StrCat("cache directory ", path, ": fstat: ", strerror(errno)));
  }
  if (!IsPrivate(info)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "cache directory %s: owner %d and mode %04o, but what it holds is "
        "executed, so it must belong to user %d with mode 0700",
        path, info.st_uid, info.st_mode & 07777, geteuid()));
  }
  cache->RemoveStale();
  return cache;
}

ObjectCache::~ObjectCache() { close(directory_); }

std::string ObjectCache::DefaultPath() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') {
    return absl::StrCat(cache, "/actserve/programs");
  }
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') {
    return absl::StrCat(home, "/.cache/actserve/programs");
  }
  return "";
}

std::optional<std::string> ObjectCache::Load(absl::string_view key) {
  const std::string name = absl::StrCat(key, kSuffix);
  // A FIFO of that name would wait for a writer.
  ScopedFile file(openat(directory_, name.c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return std::nullopt;
  std::optional<std::string> object = ReadObject(file.get());
  if (object.has_value()) {
    futimens(file.get(), nullptr);  // eviction goes by this time
  } else {
    unlinkat(directory_, name.c_str(), 0);
  }
  return object;
}

void ObjectCache::Store(absl::string_view key, absl::string_view object) {
  static std::atomic<uint64_t> counter = 0;
  const std::string temporary = absl::StrCat(
      key, ".", getpid(), ".", counter.fetch_add(1), kTemporarySuffix);
  const Header header = HeaderFor(object);
  bool written = false;
  {
    ScopedFile file(openat(directory_, temporary.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return;
    written = ACTSERVE_FAILPOINT("disk_full") == 0 &&
              WriteAll(file.get(), &header, sizeof(header)) &&
              WriteAll(file.get(), object.data(), object.size());
  }
  const std::string name = absl::StrCat(key, kSuffix);
  if (!written ||
      renameat(directory_, temporary.c_str(), directory_, name.c_str()) != 0) {
    unlinkat(directory_, temporary.c_str(), 0);
    return;
  }
  Evict();
}

std::vector<ObjectCache::File> ObjectCache::List() const {
  std::vector<File> files;
  DIR* listing = fdopendir(openat(directory_, ".", O_RDONLY | O_CLOEXEC));
  if (listing == nullptr) return files;
  while (const dirent* entry = readdir(listing)) {
    const bool is_temporary = absl::EndsWith(entry->d_name, kTemporarySuffix);
    struct stat info;
    if ((is_temporary || absl::EndsWith(entry->d_name, kSuffix)) &&
        fstatat(directory_, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      files.push_back(
          {entry->d_name, is_temporary, info.st_size, info.st_mtim});
    }
  }
  closedir(listing);
  return files;
}

void ObjectCache::RemoveStale() {
  const time_t oldest = time(nullptr) - kStaleSeconds;
  for (const File& file : List()) {
    if (file.is_temporary && file.used.tv_sec < oldest) {
      unlinkat(directory_, file.name.c_str(), 0);
    }
  }
}

void ObjectCache::Evict() {
  absl::MutexLock lock(&eviction_mutex_);
  std::vector<File> files = List();
  int64_t total_bytes = 0;
  for (const File& file : files) total_bytes += file.size_bytes;
  if (total_bytes <= max_size_bytes_) return;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::tie(a.used.tv_sec, a.used.tv_nsec) <
           std::tie(b.used.tv_sec, b.used.tv_nsec);
  });
  // A quarter at once, so that a full cache does not list itself every time.
  for (const File& file : files) {
    if (total_bytes <= max_size_bytes_ / 4 * 3) break;
    if (unlinkat(directory_, file.name.c_str(), 0) == 0) {
      total_bytes -= file.size_bytes;
    }
  }
}

}  // namespace actserve
