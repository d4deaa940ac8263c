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

FragmentCursor::FragmentCursor(absl::Span<const Fragment> fragments,
                               const TensorPart& part, int64_t item_size_bytes)
    : FragmentCursor(fragments) {
  if (part.is_whole()) return;
  run_bytes_ = part.run * item_size_bytes;
  gap_bytes_ = (part.stride - part.run) * item_size_bytes;
  left_in_run_bytes_ = run_bytes_;
  Move(part.offset * item_size_bytes);
}

// The gap after the last run of a part may lead beyond the end.
void FragmentCursor::Move(size_t size_bytes) {
  while (size_bytes > 0 && fragment_ < fragments_.size()) {
    const size_t step = std::min(size_bytes, left_in_fragment());
    offset_bytes_ += step;
    size_bytes -= step;
    SkipEmpty();
  }
}

void FragmentCursor::Skip(size_t size_bytes) {
  if (size_bytes < left_in_run_bytes_) {
    left_in_run_bytes_ -= size_bytes;
    return Move(size_bytes);
  }
  size_t beyond = size_bytes - left_in_run_bytes_;
  size_t num_gaps = 1;
  // Most often it is the end of a run, and a division takes long.
  if (beyond >= run_bytes_) {
    num_gaps += beyond / run_bytes_;
    beyond %= run_bytes_;
  }
  left_in_run_bytes_ = run_bytes_ - beyond;
  Move(size_bytes + num_gaps * gap_bytes_);
}

void FragmentCursor::Copy(std::byte* to, size_t size_bytes) {
  while (size_bytes > 0) {
    size_t step = std::min(size_bytes, contiguous_bytes());
    if (step == run_bytes_) {
      const size_t stride_bytes = run_bytes_ + gap_bytes_;
      const size_t num_runs =
          std::min(size_bytes / run_bytes_,
                   (left_in_fragment() - run_bytes_) / stride_bytes + 1);
      step = num_runs * run_bytes_;
      CopyRuns(data(), stride_bytes, to, run_bytes_, run_bytes_, num_runs);
    } else {
      std::memcpy(to, data(), step);
    }
    to += step;
    size_bytes -= step;
    Skip(step);
  }
}

}  // namespace actserve
