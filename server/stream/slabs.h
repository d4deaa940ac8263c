#ifndef ACTSERVE_SERVER_STREAM_SLABS_H_
#define ACTSERVE_SERVER_STREAM_SLABS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "server/message/request.h"
#include "server/stream/stream_request.h"

namespace actserve {

// How a streamed request is cut into slabs: runs of elements that are computed
// one after the other, each as a request of its own, with the bits of the
// whole.
//
// A slab holds whole blocks: where rows are read, the elements from their axis
// on; where tensors broadcast, what each of them is read for once. Gradients
// that are numbers sum slabs of a power of two of tiles. What cannot be cut so
// is one slab.
class Slabs {
 public:
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;
    bool operator==(const Range&) const = default;
  };

  // Refuses slabs whose tensors take more than `max_slab_bytes` one way.
  //   InvalidArgument  then; the message says why they are not smaller
  static absl::StatusOr<Slabs> Cut(StreamRequest stream,
                                   const LoweredProgram& program,
                                   int64_t max_slab_bytes);

  // At least one, of no elements if the tensors have none.
  int64_t count() const { return count_; }
  // The elements of a slab.
  Range ElementsOf(int64_t slab) const;
  // The bytes of payload `p` that a slab reads; of one that is kept, all.
  Range BytesOf(int64_t slab, size_t p) const;
  // A tensor that broadcasts: it must be there as a whole before the first
  // slab.
  bool IsKept(size_t p) const { return kept_[p]; }
  const std::vector<int64_t>& payload_bytes() const {
    return stream_.payload_bytes;
  }
  // The tensors of a slab. `payloads` holds the bytes of BytesOf() for each
  // payload, and must outlive what is returned.
  DecodedRequest RequestOf(int64_t slab, const TensorInputs& payloads) const;

  // The largest slab's: of the payloads that are not kept, and of the tensors
  // that the program writes.
  int64_t input_bytes() const { return input_bytes_; }
  int64_t output_bytes() const { return output_bytes_; }
  // Of the payloads that are kept.
  int64_t kept_bytes() const { return kept_bytes_; }
  // The most memory that payloads and results take at a time.
  int64_t MostInputBytes() const;
  int64_t MostOutputBytes() const;
  // How many bytes of payloads that are not kept may wait for a slab. Enough if
  // these payloads come in turns, each by at most kMaxChunkBytes and by its
  // share of half of the window.
  int64_t window_bytes() const;
  // The same for results.
  int64_t result_window_bytes() const { return stream_.window_bytes; }
  const TensorRequest& request() const { return stream_.request; }

 private:
  explicit Slabs(StreamRequest stream) : stream_(std::move(stream)) {}

  StreamRequest stream_;
  std::vector<bool> kept_;
  int64_t slab_elements_ = 0;
  int64_t count_ = 1;
  // Where rows are read: a row, and the stride of its elements.
  std::optional<Rows> rows_;
  int64_t num_streamed_ = 0;
  int64_t input_bytes_ = 0;
  int64_t output_bytes_ = 0;
  int64_t kept_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STREAM_SLABS_H_
