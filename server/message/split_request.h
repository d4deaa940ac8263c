// Splits a request in place. The generated parser would copy every tensor into
// a std::string. Here the tensors stay in the slices that gRPC received; only
// the small metadata is copied, and generated code parses it.

#ifndef ACTSERVE_SERVER_MESSAGE_SPLIT_REQUEST_H_
#define ACTSERVE_SERVER_MESSAGE_SPLIT_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "proto/payload_field.h"

namespace actserve {

// A request without its tensors, and the tensors.
struct SplitRequest {
  // Where one payload lies: `fragments[first .. first + count)`.
  struct Payload {
    size_t first = 0;
    size_t count = 0;
    size_t size_bytes = 0;
  };

  // Every field but the payloads, as received and in order: an encoding of
  // the same message.
  std::string metadata;
  // Points into the bytes that were split. None is empty.
  std::vector<Fragment> fragments;
  // In order of their occurrence.
  std::vector<Payload> payloads;
  // Bit i is set if top-level field i, below 32, occurs more than once.
  uint32_t repeated_fields = 0;

  absl::Span<const Fragment> FragmentsOf(const Payload& payload) const {
    return absl::MakeSpan(fragments).subspan(payload.first, payload.count);
  }
};

// Limits on one message.
struct SplitLimits {
  size_t metadata_bytes = 64 << 10;
  size_t payloads = 8;
};

// The number of the top-level field `repeated bytes` that has the payloads, by
// which messages of other protocols are split.
struct PayloadField {
  uint32_t number = kPayloadField;
};

// Splits the message whose encoding is the concatenation of `bytes`, which
// must outlive `out`. Within `limits`, returns OK and metadata that generated
// code parses iff generated code parses the whole message, and then the two
// parse to the same (property-tested). Reads each metadata byte once, no
// payload byte, and does not recurse.
//   InvalidArgument  malformed, or over a limit
absl::Status Split(absl::Span<const Fragment> bytes, const SplitLimits& limits,
                   SplitRequest* out, PayloadField field = {});

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_SPLIT_REQUEST_H_
