#include "kernels/base/file.h"

#include <unistd.h>

#include <cerrno>

namespace actserve {

ScopedFile::~ScopedFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool ReadAt(int file, int64_t offset, void* to, size_t size_bytes) {
  auto* bytes = static_cast<char*>(to);
  while (size_bytes > 0) {
    const ssize_t got = pread(file, bytes, size_bytes, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    offset += got;
    size_bytes -= got;
  }
  return true;
}

bool WriteAll(int file, const void* from, size_t size_bytes) {
  const auto* bytes = static_cast<const char*>(from);
  while (size_bytes > 0) {
    const ssize_t put = write(file, bytes, size_bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes += put;
    size_bytes -= put;
  }
  return true;
}

}  // namespace actserve
