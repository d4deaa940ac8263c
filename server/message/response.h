#ifndef ACTSERVE_SERVER_MESSAGE_RESPONSE_H_
#define ACTSERVE_SERVER_MESSAGE_RESPONSE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/message/request.h"
#include "server/message/tensor_result.h"
#include "server/state/buffer_pool.h"

namespace actserve {

// Encodes the part of a response that does not change from call to call: the
// types of its tensors, the program and the device. Only `sums`, in the order
// of the program, change.
std::string ResponseHead(const TensorRequest& request, const Program& program,
                         const std::string& device,
                         absl::Span<const double> sums);

// An encoded message as the transport sends it: for each piece its bytes, then
// its buffer. Either may be empty.
struct EncodedResponse {
  struct Piece {
    std::string bytes;
    Buffer buffer;
    // For `bytes`, where they are payloads that were copied.
    std::vector<MemoryBudget::Charge> charges = {};
  };
  std::vector<Piece> pieces;

  size_t size_bytes() const {
    size_t size = 0;
    for (const Piece& piece : pieces) {
      size += piece.bytes.size() + piece.buffer.size_bytes();
    }
    return size;
  }
};

// What ResponseHead() is for every such request; empty if that depends on the
// sums.
std::string ConstantResponseHead(const TensorRequest& request,
                                 const Program& program,
                                 const std::string& device);

// Appends the tag and length of a length-delimited field.
void AppendPrefix(int field, size_t size_bytes, std::string* bytes);

// Appends the times of `result` to a response.
void AppendTimings(const TensorResult& result, std::string* bytes);

// The payloads of a response: for each the index of its tensor among the
// outputs of the program that are tensors.
std::vector<size_t> PayloadTensors(const TensorRequest& request);

// The index of the output for `variable` among those outputs of the program
// that are tensors, or those that are numbers. They are in rising order, and
// may be for more variables than the request's.
size_t RankOf(int variable, const TensorRequest& request);

// Encodes a message that begins with `head` and has the payloads in `field`,
// each the buffer itself; small ones are copied if `may_copy`, because they can
// be read here.
EncodedResponse Assemble(std::string head, int field,
                         std::vector<Buffer> payloads, bool may_copy);

// Encodes a v1::ForwardResponse or v1::BackwardResponse that begins with
// `head`, by Assemble().
EncodedResponse EncodeResponse(const TensorRequest& request, std::string head,
                               TensorResult result);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_RESPONSE_H_
