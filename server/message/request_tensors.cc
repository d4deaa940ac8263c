#include "server/message/request_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "server/message/errors.h"
#include "server/message/tensor_codec.h"
#include "server/state/broadcasting.h"

namespace actserve {
namespace {

using google::protobuf::RepeatedPtrField;

// Puts the input before the last `num_after`.
void InsertInput(std::vector<Fragment> input, int payload, size_t num_after,
                 TensorRequest* request, TensorInputs* inputs) {
  const auto offset = static_cast<std::ptrdiff_t>(num_after);
  inputs->insert(inputs->end() - offset, std::move(input));
  request->payloads.insert(request->payloads.end() - offset, payload);
}

void InsertInput(const SplitRequest& split,
                 const SplitRequest::Payload& payload, size_t num_after,
                 TensorRequest* request, TensorInputs* inputs) {
  const auto fragments = split.FragmentsOf(payload);
  InsertInput({fragments.begin(), fragments.end()},
              static_cast<int>(&payload - split.payloads.data()), num_after,
              request, inputs);
}

// Adds the tensor of parameter `index`.
absl::Status DecodeParameterTensor(
    absl::string_view what, size_t index, const v1::ParameterTensor& value,
    const SplitRequest& split, const SplitRequest::Payload& payload,
    const TensorLimits& limits, TensorRequest* request, TensorInputs* inputs) {
  ACTSERVE_ASSIGN_OR_RETURN(const TensorType type,
                            DecodeTensor(what, value.tensor(), limits));
  ACTSERVE_ASSIGN_OR_RETURN(
      const Broadcast shape,
      BroadcastAlong(what, type,
                     value.has_axis() ? std::optional<int64_t>(value.axis())
                                      : std::nullopt,
                     request->type));
  ACTSERVE_RETURN_IF_ERROR(
      CheckPayload(what, type, static_cast<int64_t>(payload.size_bytes)));
  AddBroadcast({request->num_inputs() + static_cast<int>(index), type, shape},
               split, payload, request, inputs);
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeTensorLike(absl::string_view what, const v1::Tensor& tensor,
                              const SplitRequest::Payload& payload,
                              const TensorLimits& limits,
                              absl::string_view other,
                              const TensorType& wanted) {
  ACTSERVE_ASSIGN_OR_RETURN(const TensorType type,
                            DecodeTensor(what, tensor, limits));
  ACTSERVE_RETURN_IF_ERROR(CheckSameType(what, type, other, wanted));
  return CheckPayload(what, type, static_cast<int64_t>(payload.size_bytes));
}

void AddInput(const SplitRequest& split, const SplitRequest::Payload& payload,
              TensorRequest* request, TensorInputs* inputs) {
  InsertInput(split, payload, request->broadcasts.size(), request, inputs);
}

void AddInput(std::vector<Fragment> input, TensorRequest* request,
              TensorInputs* inputs) {
  InsertInput(std::move(input), TensorRequest::kNoPayload,
              request->broadcasts.size(), request, inputs);
}

void AddBroadcast(BroadcastTensor tensor, const SplitRequest& split,
                  const SplitRequest::Payload& payload, TensorRequest* request,
                  TensorInputs* inputs) {
  request->broadcasts.push_back(std::move(tensor));
  InsertInput(split, payload, 0, request, inputs);
}

absl::Status DecodeInputs(const RepeatedPtrField<v1::Tensor>& tensors,
                          const SplitRequest& split, const TensorLimits& limits,
                          TensorRequest* request, TensorInputs* inputs) {
  const auto& names = request->activation->activation().inputs();
  if (tensors.size() != request->num_inputs()) {
    return InvalidArgument("inputs: ", tensors.size(), " tensors, but ",
                           request->activation->activation().name(), " takes ",
                           names.size(), ": ", absl::StrJoin(names, ", "));
  }
  std::vector<TensorType> types;
  for (int i = 0; i < tensors.size(); ++i) {
    const std::string what = absl::StrCat("inputs[", i, "]");
    ACTSERVE_ASSIGN_OR_RETURN(TensorType type,
                              DecodeTensor(what, tensors[i], limits));
    ACTSERVE_RETURN_IF_ERROR(CheckPayload(
        what, type, static_cast<int64_t>(split.payloads[i].size_bytes)));
    types.push_back(std::move(type));
  }
  ACTSERVE_ASSIGN_OR_RETURN(request->type, BroadcastType(types));
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == request->type) {
      AddInput(split, split.payloads[i], request, inputs);
    } else {
      AddBroadcast({static_cast<int>(i), types[i],
                    BroadcastTo(types[i].shape, request->type.shape)},
                   split, split.payloads[i], request, inputs);
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeSplitInputs(const RepeatedPtrField<v1::Tensor>& tensors,
                               int axis, const SplitRequest& split,
                               const TensorLimits& limits,
                               TensorRequest* request, TensorInputs* inputs) {
  const Activation& activation = request->activation->activation();
  if (request->num_inputs() == 1) {
    return InvalidArgument("split_axis: ", axis, " given, but ",
                           activation.name(), " takes one input, ",
                           activation.inputs()[0]);
  }
  if (tensors.size() != 1) {
    return InvalidArgument(
        "inputs: ", tensors.size(),
        " tensors, but split_axis wants one that holds the inputs of ",
        activation.name(), ": ", absl::StrJoin(activation.inputs(), ", "));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const TensorType type,
                            DecodeTensor("inputs[0]", tensors[0], limits));
  ACTSERVE_ASSIGN_OR_RETURN(request->split,
                            MakeSplitInputs(type, axis, request->num_inputs()));
  ACTSERVE_RETURN_IF_ERROR(CheckPayload(
      "inputs[0]", type, static_cast<int64_t>(split.payloads[0].size_bytes)));
  request->type = request->split->PartType();
  AddInput(split, split.payloads[0], request, inputs);
  return absl::OkStatus();
}

int CountParameterTensors(const RepeatedPtrField<v1::ParameterValue>& values) {
  return static_cast<int>(
      std::ranges::count_if(values, &v1::ParameterValue::has_tensor));
}

absl::Status DecodeParameters(
    const RepeatedPtrField<v1::ParameterValue>& values, int first_payload,
    const SplitRequest& split, const TensorLimits& limits,
    TensorRequest* request, TensorInputs* inputs) {
  const auto& parameters = request->activation->activation().parameters();
  for (const Parameter& parameter : parameters) {
    request->parameters.push_back(parameter.default_value);
  }
  std::vector<bool> given(parameters.size());
  struct Given {
    const v1::ParameterTensor* value;
    const SplitRequest::Payload* payload;
  };
  // In the order of the activation.
  absl::btree_map<size_t, Given> tensors;
  int payload = first_payload;
  for (const v1::ParameterValue& value : values) {
    const auto it =
        std::find_if(parameters.begin(), parameters.end(),
                     [&](const auto& p) { return p.name == value.name(); });
    const std::string what = absl::StrCat("parameters: ", Quoted(value.name()));
    if (it == parameters.end()) {
      return InvalidArgument(what, " is not a parameter of ",
                             request->activation->activation().name());
    }
    const size_t index = it - parameters.begin();
    if (given[index]) return InvalidArgument(what, " is given more than once");
    given[index] = true;
    const bool is_seed = request->activation->activation().IsSeed(index);
    if (value.has_tensor()) {
      if (is_seed) {
        return InvalidArgument(what, " is a seed: one number, not a tensor");
      }
      tensors[index] = {&value.tensor(), &split.payloads[payload++]};
      continue;
    }
    if (!value.has_scalar()) return InvalidArgument(what, " has no value");
    if (!std::isfinite(value.scalar())) {
      return InvalidArgument(what, " is ", value.scalar(),
                             ", not a finite number");
    }
    if (is_seed && !Activation::IsSeedValue(value.scalar())) {
      return InvalidArgument(what, " is ",
                             absl::StrFormat("%.17g", value.scalar()),
                             ", but a seed is an integer from 0 to 2^53");
    }
    request->parameters[index] = value.scalar();
  }
  for (const auto& [index, tensor] : tensors) {
    const std::string what =
        absl::StrCat("parameters: ", Quoted(parameters[index].name));
    ACTSERVE_RETURN_IF_ERROR(DecodeParameterTensor(what, index, *tensor.value,
                                                   split, *tensor.payload,
                                                   limits, request, inputs));
  }
  return absl::OkStatus();
}

}  // namespace actserve
