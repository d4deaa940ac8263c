#include "kernels/device/cpu/read/element_runs.h"

#include <algorithm>

namespace actserve {
namespace {

// Runs shorter than this are copied together; a kernel's vector loop takes at
// least 128 elements to get going.
constexpr int64_t kShortRunElements = 128;
constexpr int64_t kCarryElements = 1024;

}  // namespace

ElementRuns::ElementRuns(absl::Span<const absl::Span<const Fragment>> tensors,
                         absl::Span<const TensorPart> parts,
                         int64_t item_size_bytes, int64_t begin, int64_t end)
    : item_size_bytes_(item_size_bytes),
      begin_(begin),
      next_(begin),
      end_(end),
      data_(tensors.size()) {
  for (size_t t = 0; t < tensors.size(); ++t) {
    cursors_.emplace_back(tensors[t], PartAt(parts, t), item_size_bytes);
    cursors_.back().Skip(begin * item_size_bytes);
  }
}

int64_t ElementRuns::Next(int64_t max_elements) {
  begin_ = next_;
  const int64_t wanted = std::min(max_elements, end_ - begin_);
  if (wanted <= 0) return 0;
  int64_t run = wanted;
  for (const FragmentCursor& cursor : cursors_) {
    run = std::min<int64_t>(run, cursor.contiguous_bytes() / item_size_bytes_);
  }

  if (run >= std::min(wanted, kShortRunElements)) {
    for (size_t t = 0; t < cursors_.size(); ++t) {
      FragmentCursor& cursor = cursors_[t];
      data_[t] = cursor.data();
      cursor.Skip(run * item_size_bytes_);
    }
  } else {
    run = std::min(wanted, kCarryElements);
    const size_t size_bytes = run * item_size_bytes_;
    carry_.resize(cursors_.size() * size_bytes);
    for (size_t t = 0; t < cursors_.size(); ++t) {
      FragmentCursor& cursor = cursors_[t];
      if (cursor.contiguous_bytes() >= size_bytes) {
        data_[t] = cursor.data();
        cursor.Skip(size_bytes);
        continue;
      }
      std::byte* to = carry_.data() + t * size_bytes;
      cursor.Copy(to, size_bytes);
      data_[t] = to;
    }
  }
  next_ = begin_ + run;
  return run;
}

}  // namespace actserve
