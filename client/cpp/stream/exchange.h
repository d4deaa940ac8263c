#ifndef ACTSERVE_CLIENT_CPP_STREAM_EXCHANGE_H_
#define ACTSERVE_CLIENT_CPP_STREAM_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "grpcpp/support/slice.h"

namespace actserve {

// The messages of one ForwardStream or BackwardStream: what to send, and what
// to make of what comes. Chunks are sent from the caller's memory and received
// into it. Knows nothing of the connection. Not thread-safe.
class StreamExchange {
 public:
  // How many bytes of results a server may compute ahead, and the most bytes of
  // a chunk.
  static constexpr int64_t kWindowBytes = int64_t{4} << 20;
  static constexpr size_t kChunkBytes = size_t{1} << 20;
  // How far the client may be ahead before the server has answered.
  static constexpr int64_t kFirstWindowBytes = int64_t{1} << 20;

  // `method` is "Forward" or "Backward"; `request` is the encoded unary
  // request, whose payloads must outlive this object. The payloads of the
  // response are written to `outputs` if there are as many and their sizes are
  // equal, and otherwise to memory of the reply. So are those whose output lies
  // where the request does: another attempt would read what this one wrote.
  StreamExchange(absl::string_view method, SplitResponse request,
                 absl::Span<const absl::Span<std::byte>> outputs);

  // "ForwardStream".
  std::string method() const;

  // Begins again, for another attempt.
  void Restart();

  // What is to be sent next: the head of a message, and a chunk in pieces.
  struct Message {
    std::string head;
    std::vector<ByteSpan> chunk;
    bool is_last = false;
  };
  bool HasNext() const { return !first_sent_ || next_ < turns_.size(); }
  // False if the server must take more before.
  bool MaySendNext() const;
  Message Next();

  // Takes a message of the server.
  //   Internal  it makes no sense: a defect of the server
  absl::Status Take(absl::Span<const ByteSpan> message);

  // The complete response as one message, once the server has ended the stream
  // with OK. Refers to `outputs`.
  //   Internal  the server has not sent all of it
  absl::StatusOr<std::vector<grpc::Slice>> TakeReply();

 private:
  // A chunk to be sent.
  struct Turn {
    size_t tensor;
    size_t offset;
    size_t size_bytes;
  };
  // A tensor of the response. What has no place in `outputs_` is in `memory`,
  // which grows with what comes: nobody has promised that it will.
  struct Result {
    size_t size_bytes = 0;
    size_t received_bytes = 0;
    absl::Span<std::byte> place = {};
    std::shared_ptr<std::vector<std::byte>> memory = nullptr;
  };

  void PlanTurns();
  template <typename Response>
  absl::Status TakeMessage(const SplitResponse& split);
  absl::Status TakeChunk(int32_t tensor, int64_t offset,
                         const SplitResponse::Payload& payload);
  // Finds a place for each tensor of the response.
  void Place(const std::vector<size_t>& sizes);
  bool LiesInRequest(absl::Span<const std::byte> output) const;

  const bool is_forward_;
  const SplitResponse request_;
  const std::vector<absl::Span<std::byte>> outputs_;
  std::vector<Turn> turns_;

  bool first_sent_ = false;
  size_t next_ = 0;
  int64_t sent_bytes_ = 0;
  int64_t taken_bytes_ = 0;
  int64_t server_window_bytes_ = kFirstWindowBytes;
  bool has_first_ = false;
  std::string response_;
  std::vector<Result> results_;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_STREAM_EXCHANGE_H_
