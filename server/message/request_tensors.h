// The tensors of a request: checks them, and puts them in the order of the
// program's inputs.

#ifndef ACTSERVE_SERVER_MESSAGE_REQUEST_TENSORS_H_
#define ACTSERVE_SERVER_MESSAGE_REQUEST_TENSORS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "actserve/v1/service.pb.h"
#include "server/message/request.h"
#include "server/message/split_request.h"
#include "server/state/tensor_type.h"

namespace actserve {

// Checks the type of `tensor`, which must be `wanted`, that of `other`, and its
// payload.
absl::Status DecodeTensorLike(absl::string_view what, const v1::Tensor& tensor,
                              const SplitRequest::Payload& payload,
                              const TensorLimits& limits,
                              absl::string_view other,
                              const TensorType& wanted);

// Adds an input of the full shape, after the others of it. The second is for
// one that is not in the message.
void AddInput(const SplitRequest& split, const SplitRequest::Payload& payload,
              TensorRequest* request, TensorInputs* inputs);
void AddInput(std::vector<Fragment> input, TensorRequest* request,
              TensorInputs* inputs);
// Adds one that broadcasts, as the last.
void AddBroadcast(BroadcastTensor tensor, const SplitRequest& split,
                  const SplitRequest::Payload& payload, TensorRequest* request,
                  TensorInputs* inputs);

// Sets the type of `request` and adds its inputs, to which the first payloads
// belong. Those that broadcast come last.
absl::Status DecodeInputs(
    const google::protobuf::RepeatedPtrField<v1::Tensor>& tensors,
    const SplitRequest& split, const TensorLimits& limits,
    TensorRequest* request, TensorInputs* inputs);

// The same for one tensor that holds all inputs, cut along `axis`.
absl::Status DecodeSplitInputs(
    const google::protobuf::RepeatedPtrField<v1::Tensor>& tensors, int axis,
    const SplitRequest& split, const TensorLimits& limits,
    TensorRequest* request, TensorInputs* inputs);

// Parameters that are tensors: each has a payload.
int CountParameterTensors(
    const google::protobuf::RepeatedPtrField<v1::ParameterValue>& values);

// Sets the parameters of `request`, whose type is set, and adds their tensors
// to `inputs`. Payload `first_payload` is that of the first tensor.
absl::Status DecodeParameters(
    const google::protobuf::RepeatedPtrField<v1::ParameterValue>& values,
    int first_payload, const SplitRequest& split, const TensorLimits& limits,
    TensorRequest* request, TensorInputs* inputs);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_REQUEST_TENSORS_H_
