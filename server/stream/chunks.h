#ifndef ACTSERVE_SERVER_STREAM_CHUNKS_H_
#define ACTSERVE_SERVER_STREAM_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "kernels/device/device.h"
#include "server/state/buffer_pool.h"
#include "server/stream/frame.h"
#include "server/stream/slabs.h"

namespace actserve {

// The chunks of a stream that have arrived and that slabs still need. Checks
// that each tensor comes in order and without gaps. Not thread-safe.
class Chunks {
 public:
  // `slabs` must outlive this object. Copies what is kept to `buffers`.
  Chunks(const Slabs* slabs, BufferPool* buffers);

  // Takes the chunk of a message; `owner` owns its bytes.
  //   InvalidArgument  no chunk, of no tensor of the request, not where the
  //                    last one ended, or beyond the end of its tensor
  absl::Status Take(RequestFrame frame, std::shared_ptr<const void> owner);

  // True if all tensors have arrived as a whole.
  bool AreComplete() const { return num_incomplete_ == 0; }
  // True if all that a slab needs has arrived.
  bool Has(int64_t slab) const;
  // The bytes of each payload that a slab reads. Valid until Drop(slab).
  TensorInputs PayloadsOf(int64_t slab) const;
  // Gives up what no later slab needs.
  void Drop(int64_t slab);

  // The bytes that wait for slabs, without what is kept. Their memory is more
  // by at most a chunk for each tensor, of which a part was dropped.
  int64_t held_bytes() const { return held_bytes_; }
  // The bytes that have arrived and wait no more.
  int64_t taken_bytes() const { return received_bytes_ - held_bytes_; }
  // Names a tensor of which a slab lacks bytes, and how far all have come.
  absl::Status WindowError(int64_t slab) const;
  // The same for a stream that ends before all has arrived.
  absl::Status EndError() const;

 private:
  struct Chunk {
    int64_t begin;
    int64_t end;
    std::vector<Fragment> bytes;
    std::shared_ptr<const void> owner;
  };
  struct Tensor {
    int64_t received_bytes = 0;
    int64_t dropped_bytes = 0;
    // In order; those of a tensor that is kept are in `kept`.
    std::deque<Chunk> chunks;
    Buffer kept;
  };

  int64_t size_bytes(size_t p) const { return slabs_.payload_bytes()[p]; }
  size_t FirstWithout(int64_t slab) const;

  const Slabs& slabs_;
  std::vector<Tensor> tensors_;
  int num_incomplete_ = 0;
  int64_t received_bytes_ = 0;
  int64_t held_bytes_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STREAM_CHUNKS_H_
