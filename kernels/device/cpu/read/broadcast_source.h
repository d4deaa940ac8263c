#ifndef ACTSERVE_KERNELS_DEVICE_CPU_READ_BROADCAST_SOURCE_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_READ_BROADCAST_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/base/dtype.h"
#include "kernels/device/device.h"
#include "kernels/graph/broadcast.h"

namespace actserve {

// The elements of a tensor that broadcasts, ready to be read in runs.
// Immutable, so threads may share it. Where the tensor lies in one fragment,
// that must outlive it.
class BroadcastSource {
 public:
  // No run but one that lies in the tensor is longer.
  static constexpr int64_t kMaxRun = 4096;

  BroadcastSource(const BroadcastInput& input, DType dtype);

  // Elements from `element` on that one Read() gives, at least 1.
  int64_t RunLength(int64_t element) const;

  // The length of the runs whose elements all read one element; 0 if they are
  // short.
  int64_t LongRun() const;
  // The element that is read at `element`, and how many from there on read it,
  // at least 1. For one with long runs. T is the compute type.
  template <typename T>
  T Value(int64_t element, int64_t* run) const;

  // What one thread needs to read. Empty at first.
  struct Buffer {
    std::vector<std::byte> bytes;
    // The one element that fills it, or -1.
    int64_t index = -1;
  };
  // Where elements [element, element + count) of the large shape lie: in the
  // tensor, or in `buffer` until the next call with it. `count` is at most
  // RunLength(element).
  const void* Read(int64_t element, int64_t count, Buffer& buffer) const;

  // The whole large shape.
  std::vector<std::byte> Expand() const;

  // Memory of its own.
  static int64_t SizeBytes(const BroadcastInput& input,
                           int64_t item_size_bytes);

 private:
  enum class Layout {
    kLies,     // runs of the large shape lie in the tensor as they are
    kPeriod,   // the large shape repeats what `copy_` holds
    kOneEach,  // long runs of one element
    kAny,
  };
  static Layout LayoutOf(const Broadcast& shape);
  void Fill(int64_t element, int64_t count, std::byte* to) const;

  const Broadcast& shape_;
  const DType dtype_;
  const int64_t item_size_bytes_;
  const Layout layout_;
  int64_t period_ = 1;
  std::vector<std::byte> copy_;
  const std::byte* values_ = nullptr;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_READ_BROADCAST_SOURCE_H_
