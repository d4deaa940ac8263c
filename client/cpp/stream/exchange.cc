#include "client/cpp/stream/exchange.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "actserve/v1/service.pb.h"
#include "client/cpp/message/item_size.h"
#include "kernels/base/overlap.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// The largest number stands for all that are larger.
size_t SizeOf(const v1::Tensor& tensor) {
  auto size_bytes = static_cast<size_t>(ItemSizeBytes(tensor.dtype()));
  for (const int64_t dimension : tensor.shape()) {
    if (__builtin_mul_overflow(size_bytes, static_cast<size_t>(dimension),
                               &size_bytes)) {
      return std::numeric_limits<size_t>::max();
    }
  }
  return size_bytes;
}

std::vector<size_t> PayloadSizes(const v1::ForwardResponse& response) {
  std::vector<size_t> sizes = {SizeOf(response.output())};
  for (const v1::Tensor& partial : response.partials()) {
    sizes.push_back(SizeOf(partial));
  }
  if (response.has_tangent()) sizes.push_back(SizeOf(response.tangent()));
  return sizes;
}

std::vector<size_t> PayloadSizes(const v1::BackwardResponse& response) {
  std::vector<size_t> sizes;
  for (const v1::Gradient& gradient : response.gradients()) {
    if (gradient.has_tensor()) sizes.push_back(SizeOf(gradient.tensor()));
  }
  return sizes;
}

absl::Status Malformed(absl::string_view what) {
  return absl::InternalError(absl::StrCat("malformed stream: ", what));
}

// The first message, whose request is `metadata`.
template <typename Message>
std::string FirstMessage(const std::string& metadata) {
  Message message;
  message.set_window_bytes(StreamExchange::kWindowBytes);
  std::string bytes = message.SerializeAsString();
  // Tag and length of the request, then its bytes as they are.
  Message tag;
  tag.mutable_request();
  const std::string empty = tag.SerializeAsString();
  bytes += empty.substr(0, empty.size() - 1);
  AppendVarint(metadata.size(), bytes);
  return bytes + metadata;
}

// The pieces of `payload` from `offset` on.
std::vector<ByteSpan> Cut(const SplitResponse::Payload& payload, size_t offset,
                          size_t size_bytes) {
  std::vector<ByteSpan> cut;
  for (const ByteSpan piece : payload.pieces) {
    if (size_bytes == 0) break;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    cut.push_back(piece.subspan(offset, size_bytes));
    size_bytes -= cut.back().size();
    offset = 0;
  }
  return cut;
}

}  // namespace

StreamExchange::StreamExchange(absl::string_view method, SplitResponse request,
                               absl::Span<const absl::Span<std::byte>> outputs)
    : is_forward_(method == "Forward"),
      request_(std::move(request)),
      outputs_(outputs.begin(), outputs.end()) {
  PlanTurns();
}

std::string StreamExchange::method() const {
  return is_forward_ ? "ForwardStream" : "BackwardStream";
}

// Those that broadcast first, then the others in turns.
void StreamExchange::PlanTurns() {
  size_t largest = 0;
  for (const auto& payload : request_.payloads) {
    largest = std::max(largest, payload.size_bytes);
  }
  const auto add = [&](size_t tensor, size_t offset, size_t chunk_bytes) {
    const size_t left = request_.payloads[tensor].size_bytes - offset;
    if (left > 0)
      turns_.push_back({tensor, offset, std::min(left, chunk_bytes)});
  };
  std::vector<size_t> large;
  for (size_t t = 0; t < request_.payloads.size(); ++t) {
    const size_t size_bytes = request_.payloads[t].size_bytes;
    if (size_bytes == largest) {
      large.push_back(t);
      continue;
    }
    for (size_t at = 0; at < size_bytes; at += kChunkBytes) {
      add(t, at, kChunkBytes);
    }
  }
  if (large.empty()) return;
  const size_t chunk_bytes =
      std::min(kChunkBytes, kWindowBytes / (2 * large.size()));
  for (size_t at = 0; at < largest; at += chunk_bytes) {
    for (const size_t tensor : large) add(tensor, at, chunk_bytes);
  }
}

void StreamExchange::Restart() {
  first_sent_ = false;
  next_ = 0;
  sent_bytes_ = 0;
  taken_bytes_ = 0;
  server_window_bytes_ = kFirstWindowBytes;
  has_first_ = false;
  response_.clear();
  results_.clear();
}

bool StreamExchange::MaySendNext() const {
  return !first_sent_ ||
         sent_bytes_ + static_cast<int64_t>(turns_[next_].size_bytes) <=
             taken_bytes_ + server_window_bytes_;
}

StreamExchange::Message StreamExchange::Next() {
  Message message;
  if (!first_sent_) {
    first_sent_ = true;
    message.head =
        is_forward_
            ? FirstMessage<v1::ForwardStreamRequest>(request_.metadata)
            : FirstMessage<v1::BackwardStreamRequest>(request_.metadata);
  } else {
    const Turn& turn = turns_[next_++];
    sent_bytes_ += static_cast<int64_t>(turn.size_bytes);
    v1::ForwardStreamRequest fields;
    fields.set_tensor(static_cast<int32_t>(turn.tensor));
    fields.set_offset(static_cast<int64_t>(turn.offset));
    message.head = fields.SerializeAsString();
    AppendPayloadHeader(turn.size_bytes, message.head);
    message.chunk =
        Cut(request_.payloads[turn.tensor], turn.offset, turn.size_bytes);
  }
  message.is_last = !HasNext();
  return message;
}

absl::Status StreamExchange::Take(absl::Span<const ByteSpan> message) {
  ACTSERVE_ASSIGN_OR_RETURN(const SplitResponse split, Split(message));
  if (split.payloads.size() > 1) return Malformed("several payloads");
  return is_forward_ ? TakeMessage<v1::ForwardStreamResponse>(split)
                     : TakeMessage<v1::BackwardStreamResponse>(split);
}

template <typename Response>
absl::Status StreamExchange::TakeMessage(const SplitResponse& split) {
  Response message;
  if (!message.ParseFromString(split.metadata)) {
    return Malformed("a message does not parse");
  }
  taken_bytes_ = std::max(taken_bytes_, message.taken_bytes());
  if (!split.payloads.empty()) {
    return TakeChunk(message.tensor(), message.offset(), split.payloads[0]);
  }
  if (!message.has_response()) return absl::OkStatus();
  if (!std::exchange(has_first_, true)) {
    server_window_bytes_ =
        std::max(server_window_bytes_, message.window_bytes());
    Place(PayloadSizes(message.response()));
  } else {
    response_ = message.response().SerializeAsString();
  }
  return absl::OkStatus();
}

void StreamExchange::Place(const std::vector<size_t>& sizes) {
  const bool fit = std::equal(
      sizes.begin(), sizes.end(), outputs_.begin(), outputs_.end(),
      [](size_t size, const auto& output) { return size == output.size(); });
  for (size_t i = 0; i < sizes.size(); ++i) {
    Result& result = results_.emplace_back();
    result.size_bytes = sizes[i];
    if (fit && !LiesInRequest(outputs_[i])) {
      result.place = outputs_[i];
      continue;
    }
    result.memory = std::make_shared<std::vector<std::byte>>();
    // As large as memory of the caller's.
    if (fit) result.memory->reserve(sizes[i]);
  }
}

bool StreamExchange::LiesInRequest(absl::Span<const std::byte> output) const {
  for (const SplitResponse::Payload& payload : request_.payloads) {
    for (const ByteSpan piece : payload.pieces) {
      if (Overlap(output.data(), output.size(), piece.data(), piece.size())) {
        return true;
      }
    }
  }
  return false;
}

absl::Status StreamExchange::TakeChunk(int32_t tensor, int64_t offset,
                                       const SplitResponse::Payload& payload) {
  if (tensor < 0 || static_cast<size_t>(tensor) >= results_.size()) {
    return Malformed(
        absl::StrCat("a chunk of tensor ", tensor, " of ", results_.size()));
  }
  Result& result = results_[tensor];
  if (offset != static_cast<int64_t>(result.received_bytes)) {
    return Malformed(absl::StrCat("tensor ", tensor, ": a chunk at offset ",
                                  offset, ", expected ",
                                  result.received_bytes));
  }
  const size_t size_bytes = payload.size_bytes;
  if (size_bytes > result.size_bytes - result.received_bytes) {
    return Malformed(absl::StrCat("tensor ", tensor, ": ", size_bytes,
                                  " bytes at offset ", offset, " of ",
                                  result.size_bytes));
  }
  if (result.memory != nullptr) {
    result.memory->resize(result.received_bytes + size_bytes);
    result.place = absl::MakeSpan(*result.memory);
  }
  CopyPayload(payload, result.place.subspan(result.received_bytes, size_bytes));
  result.received_bytes += size_bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<grpc::Slice>> StreamExchange::TakeReply() {
  if (response_.empty()) return Malformed("it ended without a response");
  std::string head = std::move(response_);
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < results_.size(); ++i) {
    const Result& result = results_[i];
    if (result.received_bytes != result.size_bytes) {
      return Malformed(absl::StrCat("it ended at byte ", result.received_bytes,
                                    " of tensor ", i, ", which has ",
                                    result.size_bytes));
    }
    AppendPayloadHeader(result.size_bytes, head);
    slices.emplace_back(head);
    head.clear();
    if (result.size_bytes == 0) continue;
    if (result.memory == nullptr) {
      slices.emplace_back(result.place.data(), result.size_bytes,
                          grpc::Slice::STATIC_SLICE);
      continue;
    }
    using Owner = std::shared_ptr<std::vector<std::byte>>;
    slices.emplace_back(
        result.memory->data(), result.size_bytes,
        [](void* owner) { delete static_cast<Owner*>(owner); },
        new Owner(result.memory));
  }
  if (!head.empty()) slices.emplace_back(head);
  return slices;
}

}  // namespace actserve
