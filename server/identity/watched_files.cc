#include "server/identity/watched_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/base/file.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr int kMaxRestless = 3;

}  // namespace

absl::StatusOr<std::string> ReadSecretFile(absl::string_view flag,
                                           const std::string& path,
                                           bool private_only) {
  const ScopedFile file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info = {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat(flag, ": ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return InvalidArgument(flag, ": ", path, ": not a plain file");
  }
  if (private_only && (info.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: %s: mode %04o lets its group write it, or other users read or "
        "write it; chmod 600 it",
        flag, path, info.st_mode & 07777));
  }
  if (info.st_size == 0 || info.st_size > kMaxSecretFileBytes) {
    return InvalidArgument(flag, ": ", path, ": ", int64_t{info.st_size},
                           " bytes, not in 1 .. ", kMaxSecretFileBytes);
  }
  std::string content(info.st_size, '\0');
  if (!ReadAt(file.get(), 0, content.data(), content.size())) {
    return InvalidArgument(flag, ": ", path, ": cannot be read to its end");
  }
  return content;
}

WatchedFiles::WatchedFiles(std::vector<std::string> paths)
    : paths_(std::move(paths)) {
  MarkKnown();
}

bool WatchedFiles::Changed() {
  Signature now = Look();
  const bool is_quiet = now == last_;
  last_ = std::move(now);
  num_restless_ = is_quiet ? 0 : num_restless_ + 1;
  // A file that never comes to rest is read all the same.
  if ((!is_quiet && num_restless_ < kMaxRestless) || last_ == known_) {
    return false;
  }
  num_restless_ = 0;
  known_ = last_;
  return true;
}

void WatchedFiles::MarkKnown() { known_ = last_ = Look(); }

WatchedFiles::Signature WatchedFiles::Look() const {
  Signature signature;
  for (const std::string& path : paths_) {
    struct stat info = {};
    signature.push_back(
        stat(path.c_str(), &info) != 0
            ? ""
            : absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_size,
                           " ", info.st_mode, " ", info.st_mtim.tv_sec, " ",
                           info.st_mtim.tv_nsec, " ", info.st_ctim.tv_sec, " ",
                           info.st_ctim.tv_nsec));
  }
  return signature;
}

}  // namespace actserve
