#include "kernels/device/cpu/part_writer.h"

#include <limits>

#include "kernels/device/cpu/machine/past_caches.h"

namespace actserve {
namespace {

// As in ElementRuns: what is shorter costs less through a buffer.
constexpr int64_t kShortRunElements = 128;
constexpr int64_t kBufferElements = 1024;
// Runs so long may end inside a cache line.
constexpr int64_t kLongForLines = 4096;

}  // namespace

bool PartWriter::is_buffered() const {
  return !part_.is_whole() && part_.run < kShortRunElements;
}

bool PartWriter::WritesLines() const {
  return part_.is_whole() || part_.run >= kLongForLines ||
         (!is_buffered() &&
          part_.run * item_size_bytes_ % kCacheLineBytes == 0);
}

int64_t PartWriter::RunLength(int64_t element) const {
  if (part_.is_whole()) return std::numeric_limits<int64_t>::max();
  return is_buffered() ? kBufferElements : part_.run - element % part_.run;
}

std::byte* PartWriter::Begin(int64_t element, int64_t count,
                             std::vector<std::byte>& buffer) const {
  if (!is_buffered()) {
    return tensor_ + part_.IndexOf(element) * item_size_bytes_;
  }
  buffer.resize(count * item_size_bytes_);
  return buffer.data();
}

void PartWriter::End(int64_t element, int64_t count,
                     const std::vector<std::byte>& buffer) const {
  if (!is_buffered()) return;
  CopyIntoPart(buffer.data(), element, count, part_, item_size_bytes_, tensor_);
}

}  // namespace actserve
