// The requests and replies of Forward and Backward: checked, made and read.
// This is how Client works; see client.h for what it promises.

#ifndef ACTSERVE_CLIENT_CPP_TENSOR_CALLS_H_
#define ACTSERVE_CLIENT_CPP_TENSOR_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "actserve/v1/service.pb.h"
#include "client/cpp/client.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/message/item_size.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/wire/narrow_tensors.h"
#include "grpcpp/support/slice.h"

namespace actserve {

// The bytes of a request's tensors, in their order.
using Payloads = absl::InlinedVector<ByteSpan, 4>;

// InvalidArgument unless `output` has `want_bytes`; `what` names it.
absl::Status CheckOutput(absl::Span<std::byte> output, absl::string_view what,
                         size_t want_bytes);

void SetTensor(const TensorView& view, v1::Tensor& tensor);

// Puts `values` into a request, and their tensors after its other payloads.
void SetValues(const std::vector<NamedValue>& values,
               google::protobuf::RepeatedPtrField<v1::NamedValue>& to,
               Payloads& payloads);

// Checks that the tensors are as many bytes as they say; `what` names the list.
absl::Status CheckValues(const std::vector<NamedValue>& values,
                         absl::string_view what);

// Puts the parameters into a request, and adds their tensors to `payloads`.
void SetParameters(
    const CallOptions& options,
    google::protobuf::RepeatedPtrField<v1::ParameterValue>& parameters,
    Payloads& payloads);

// Checks what every Forward has, and puts it into `request` and `payloads`.
absl::Status MakeForward(std::string_view activation,
                         absl::Span<const TensorView> inputs,
                         absl::Span<std::byte> output,
                         const CallOptions& options,
                         v1::ForwardRequest& request, Payloads& payloads);

// Checks that `call` fits together, as far as one can tell without knowing
// which names are parameters.
absl::Status CheckBackward(const BackwardCall& call);

// True if the tensors of a call go in another type than they have.
inline bool IsNarrow(const CallOptions& options) {
  return options.wire_dtype != v1::DTYPE_UNSPECIFIED;
}

// The type for NarrowTensors.
//   InvalidArgument  options.wire_dtype has not 16 bits
absl::StatusOr<NarrowTensors::Type> NarrowTypeOf(const CallOptions& options);

// The same call with its tensors in options.wire_dtype, in memory of `tensors`.
//   InvalidArgument  a tensor is not float32, or the call has to do with a
//                    residual
absl::StatusOr<ForwardCall> Narrow(ForwardCall call, NarrowTensors& tensors);
absl::StatusOr<BackwardCall> Narrow(BackwardCall call, NarrowTensors& tensors);

// Copies the gradients to where `call` wants them, and returns the rest.
//   Internal  `answer` is malformed
absl::StatusOr<BackwardResult> TakeGradients(
    const BackwardCall& call, Answer<v1::BackwardResponse>& answer);

// The reply in `slices` as Client::CallEncoded() returns it: its payloads in
// `outputs`, if they fit, or else each in one piece.
//   Internal  no protobuf message: a defect of the server
absl::StatusOr<EncodedReply> TakeEncoded(
    std::vector<grpc::Slice> slices,
    absl::Span<const absl::Span<std::byte>> outputs);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_TENSOR_CALLS_H_
