// The messages of ForwardStream and BackwardStream as bytes, without copying
// the tensors in them.

#ifndef ACTSERVE_SERVER_STREAM_FRAME_H_
#define ACTSERVE_SERVER_STREAM_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"

namespace actserve {

// A ForwardStreamRequest or BackwardStreamRequest, whose fields have the same
// numbers.
struct RequestFrame {
  // The encoded request; nullopt: there is none.
  std::optional<std::string> request;
  int64_t window_bytes = 0;
  int32_t tensor = 0;
  int64_t offset = 0;
  // Points into the bytes that were read.
  std::vector<Fragment> payload;
  size_t payload_bytes = 0;
  bool has_payload = false;
};

// Reads the message whose encoding is the concatenation of `bytes`, which must
// outlive the payload.
//   InvalidArgument  no such message, a field given twice, or more than
//                    `max_metadata_bytes` beside the payload
absl::StatusOr<RequestFrame> ReadFrame(absl::Span<const Fragment> bytes,
                                       size_t max_metadata_bytes);

// Encodes a part of any message of an answer, to be put before the rest; empty
// for 0.
std::string TakenField(int64_t taken_bytes);
// Encodes the first message of an answer.
std::string FirstFrame(absl::string_view response, int64_t window_bytes);
// Encodes a message with a chunk, up to the bytes of the chunk.
std::string ChunkHead(int32_t tensor, int64_t offset, size_t payload_bytes);
// Encodes the last message.
std::string LastFrame(absl::string_view response);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STREAM_FRAME_H_
