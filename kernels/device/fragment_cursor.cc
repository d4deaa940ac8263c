#include "kernels/device/fragment_cursor.h"

#include <algorithm>
#include <cstring>

namespace actserve {

size_t TotalSizeBytes(absl::Span<const Fragment> fragments) {
  size_t total = 0;
  for (const Fragment& fragment : fragments) total += fragment.size_bytes;
  return total;
}

void FragmentCursor::SkipEmpty() {
  while (fragment_ < fragments_.size() &&
         offset_bytes_ == fragments_[fragment_].size_bytes) {
    ++fragment_;
    offset_bytes_ = 0;
  }
}

void FragmentCursor::Skip(size_t size_bytes) {
  while (size_bytes > 0) {
    const size_t step = std::min(size_bytes, contiguous_bytes());
    offset_bytes_ += step;
    size_bytes -= step;
    SkipEmpty();
  }
}

void FragmentCursor::Copy(std::byte* to, size_t size_bytes) {
  while (size_bytes > 0) {
    const size_t step = std::min(size_bytes, contiguous_bytes());
    std::memcpy(to, data(), step);
    to += step;
    offset_bytes_ += step;
    size_bytes -= step;
    SkipEmpty();
  }
}

}  // namespace actserve
