#include "server/stream/stream_request.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "actserve/v1/service.pb.h"
#include "kernels/base/status_macros.h"
#include "server/message/tensor_codec.h"

namespace actserve {
namespace {

// Collects what payloads a request would have. Of a tensor that is wrong the
// size is 0: decoding the request says what is wrong with it.
class PayloadSizes {
 public:
  explicit PayloadSizes(const TensorLimits& limits) : limits_(limits) {}

  void Add(const v1::Tensor& tensor) {
    const auto type = DecodeTensor("", tensor, limits_);
    sizes_.push_back(type.ok() ? type->size_bytes() : 0);
  }
  template <typename Message>
  void AddInputs(const Message& message) {
    for (const v1::Tensor& input : message.inputs()) Add(input);
    for (const v1::ParameterValue& value : message.parameters()) {
      if (value.has_tensor()) Add(value.tensor().tensor());
    }
  }
  void AddValues(
      const google::protobuf::RepeatedPtrField<v1::NamedValue>& values) {
    for (const v1::NamedValue& value : values) {
      if (value.has_tensor()) Add(value.tensor());
    }
  }

  std::vector<int64_t> Take() { return std::move(sizes_); }

 private:
  const TensorLimits& limits_;
  std::vector<int64_t> sizes_;
};

template <typename Message>
absl::Status Parse(const std::string& metadata, Message& message) {
  if (message.ParseFromString(metadata)) return absl::OkStatus();
  return absl::InvalidArgumentError("request is not a valid protobuf message");
}

absl::StatusOr<std::vector<int64_t>> SizesOf(TensorMethod method,
                                             const std::string& metadata,
                                             const TensorLimits& limits) {
  PayloadSizes sizes(limits);
  if (method == TensorMethod::kForward) {
    v1::ForwardRequest message;
    ACTSERVE_RETURN_IF_ERROR(Parse(metadata, message));
    sizes.AddInputs(message);
    sizes.AddValues(message.tangents());
    return sizes.Take();
  }
  v1::BackwardRequest message;
  ACTSERVE_RETURN_IF_ERROR(Parse(metadata, message));
  if (!message.residual().empty()) {
    return absl::InvalidArgumentError(
        "residual: given, but a stream takes the inputs");
  }
  sizes.AddInputs(message);
  if (message.has_grad_output()) sizes.Add(message.grad_output());
  sizes.AddValues(message.cotangents());
  return sizes.Take();
}

absl::StatusOr<int64_t> WindowOf(int64_t wanted) {
  if (wanted == 0) return kMaxStreamWindowBytes;
  if (wanted < kMinStreamWindowBytes) {
    return InvalidArgument("window_bytes: ", wanted, ", must be at least ",
                           kMinStreamWindowBytes);
  }
  return std::min(wanted, kMaxStreamWindowBytes);
}

}  // namespace

absl::StatusOr<StreamRequest> DecodeStream(
    TensorMethod method, const RequestFrame& frame, const RequestLimits& limits,
    Registry& registry, Residuals& residuals, const Tenant* tenant) {
  if (!frame.request.has_value()) {
    return absl::InvalidArgumentError(
        "request: not set in the first message of the stream");
  }
  if (frame.has_payload) {
    return absl::InvalidArgumentError(
        "payload: in the first message of the stream, which has none");
  }
  StreamRequest stream;
  ACTSERVE_ASSIGN_OR_RETURN(stream.window_bytes, WindowOf(frame.window_bytes));
  const Fragment bytes = {
      reinterpret_cast<const std::byte*>(frame.request->data()),
      frame.request->size()};
  SplitRequest split;
  ACTSERVE_RETURN_IF_ERROR(Split({&bytes, 1}, limits.split, &split));
  if (!split.payloads.empty()) {
    return absl::InvalidArgumentError(
        "request: has a payload, but a stream sends its tensors in chunks");
  }
  ACTSERVE_ASSIGN_OR_RETURN(stream.payload_bytes,
                            SizesOf(method, split.metadata, limits.tensor));
  if (stream.payload_bytes.size() > limits.split.payloads) {
    return InvalidArgument("request has ", stream.payload_bytes.size(),
                           " tensors, limit ", limits.split.payloads);
  }
  for (const int64_t size_bytes : stream.payload_bytes) {
    split.payloads.push_back({.size_bytes = static_cast<size_t>(size_bytes)});
  }
  // A stream bounds neither.
  RequestLimits unbounded = limits;
  unbounded.message_bytes = std::numeric_limits<int64_t>::max();
  ACTSERVE_ASSIGN_OR_RETURN(
      DecodedRequest decoded,
      method == TensorMethod::kForward
          ? DecodeForward(split, unbounded, registry, tenant)
          : DecodeBackward(split, unbounded, registry, residuals, tenant));
  stream.request = std::move(decoded.request);
  stream.request.residual_lease.reset();
  return stream;
}

}  // namespace actserve
