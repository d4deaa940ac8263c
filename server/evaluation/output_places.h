#ifndef ACTSERVE_SERVER_EVALUATION_OUTPUT_PLACES_H_
#define ACTSERVE_SERVER_EVALUATION_OUTPUT_PLACES_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/message/request.h"

namespace actserve {

// Where a caller of this machine wants the payloads of a response.
struct OutputPlaces {
  // In the order of the payloads.
  absl::Span<const absl::Span<std::byte>> outputs;
  // What the request is read from.
  absl::Span<const Fragment> message;

  // For Evaluation::PlaceOf(): the output for that tensor, if as many outputs
  // were given as there are payloads, its size is right, and nothing else of
  // the call lies there; otherwise null.
  std::byte* Find(const TensorRequest& request, size_t tensor,
                  int64_t size_bytes) const;

  // Whether nothing else of the call lies where output `i` is to be written.
  bool IsFree(size_t i) const;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_OUTPUT_PLACES_H_
