#include "server/message/request.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "actserve/v1/service.pb.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "server/message/errors.h"
#include "server/message/tensor_codec.h"

namespace actserve {
namespace {

using google::protobuf::RepeatedPtrField;
using Direction = ProgramKey::Direction;

struct Field {
  absl::string_view name;
  int number;
};

// Protobuf would take the last of two; a request that says two things is
// refused instead.
absl::Status CheckGivenOnce(const SplitRequest& split,
                            std::initializer_list<Field> fields) {
  for (const Field& field : fields) {
    if (split.repeated_fields >> field.number & 1) {
      return InvalidArgument(field.name, ": given more than once");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const RegisteredActivation>> FindActivation(
    const std::string& name, Registry& registry, const Tenant* tenant) {
  if (name.empty()) return InvalidArgument("activation: not set");
  auto found = registry.Find(name, tenant);
  if (found == nullptr) return ActivationUnknownError(name);
  return found;
}

absl::Status CheckPayloadCount(size_t wanted, absl::string_view tensors,
                               const SplitRequest& split) {
  if (split.payloads.size() == wanted) return absl::OkStatus();
  return InvalidArgument("payload: given ", split.payloads.size(),
                         " times, but ", tensors, " need ", wanted);
}

// The first payloads belong to the inputs.
absl::Status DecodeInputs(const RepeatedPtrField<v1::Tensor>& tensors,
                          const SplitRequest& split, const TensorLimits& limits,
                          TensorRequest* request, TensorInputs* inputs) {
  const auto& names = request->activation->activation().inputs();
  if (tensors.size() != request->num_inputs()) {
    return InvalidArgument("inputs: ", tensors.size(), " tensors, but ",
                           request->activation->activation().name(), " takes ",
                           names.size(), ": ", absl::StrJoin(names, ", "));
  }
  for (int i = 0; i < tensors.size(); ++i) {
    const std::string what = absl::StrCat("inputs[", i, "]");
    ACTSERVE_ASSIGN_OR_RETURN(TensorType type,
                              DecodeTensor(what, tensors[i], limits));
    if (i == 0) {
      request->type = std::move(type);
    } else {
      ACTSERVE_RETURN_IF_ERROR(
          CheckSameType(what, type, "inputs[0]", request->type));
    }
    const SplitRequest::Payload& payload = split.payloads[i];
    ACTSERVE_RETURN_IF_ERROR(CheckPayload(
        what, request->type, static_cast<int64_t>(payload.size_bytes)));
    const auto fragments = split.FragmentsOf(payload);
    inputs->emplace_back(fragments.begin(), fragments.end());
  }
  return absl::OkStatus();
}

absl::Status DecodeParameters(
    const RepeatedPtrField<v1::ParameterValue>& values,
    TensorRequest* request) {
  const auto& parameters = request->activation->activation().parameters();
  for (const Parameter& parameter : parameters) {
    request->parameters.push_back(parameter.default_value);
  }
  std::vector<bool> given(parameters.size());
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
    if (!value.has_scalar()) return InvalidArgument(what, " has no value");
    if (!std::isfinite(value.scalar())) {
      return InvalidArgument(what, " is ", value.scalar(),
                             ", not a finite number");
    }
    if (request->activation->activation().IsSeed(index) &&
        !Activation::IsSeedValue(value.scalar())) {
      return InvalidArgument(what, " is ",
                             absl::StrFormat("%.17g", value.scalar()),
                             ", but a seed is an integer from 0 to 2^53");
    }
    request->parameters[index] = value.scalar();
  }
  return absl::OkStatus();
}

// `field` is "partials", of inputs, or "wrt", of inputs and parameters.
absl::Status DecodeVariables(absl::string_view field,
                             const RepeatedPtrField<std::string>& names,
                             bool parameters_allowed, TensorRequest* request) {
  const Activation& activation = request->activation->activation();
  std::vector<std::string> known = activation.inputs();
  if (parameters_allowed) {
    for (const Parameter& p : activation.parameters()) known.push_back(p.name);
  }
  for (const std::string& name : names) {
    const auto it = std::find(known.begin(), known.end(), name);
    if (it == known.end()) {
      return InvalidArgument(field, ": ", Quoted(name), " is not one of ",
                             absl::StrJoin(known, ", "));
    }
    const int index = static_cast<int>(it - known.begin());
    const uint64_t bit = uint64_t{1} << index;
    if (request->program.variables & bit) {
      return InvalidArgument(field, ": ", Quoted(name),
                             " is given more than once");
    }
    request->program.variables |= bit;
    request->variables.push_back(index);
  }
  return absl::OkStatus();
}

// Sets the axis of `request`, whose type is set. `Message` has an axis or none.
template <typename Message>
absl::Status DecodeAxis(const Message& message, TensorRequest* request) {
  const Activation& activation = request->activation->activation();
  if (!message.has_axis()) {
    if (!activation.reads_rows()) return absl::OkStatus();
    return InvalidArgument("axis: not set, but ", activation.name(),
                           " reads rows");
  }
  const int axis = message.axis();
  if (!activation.reads_rows()) {
    return InvalidArgument("axis: ", axis, " given, but ", activation.name(),
                           " reads no rows");
  }
  const int rank = static_cast<int>(request->type.shape.size());
  if (axis < -rank || axis >= rank) {
    return InvalidArgument(
        "axis: ", axis, ", but the inputs have the shape ",
        ShapeToString(request->type.shape),
        rank == 0 ? ", without an axis"
                  : absl::StrCat(": want ", -rank, " to ", rank - 1));
  }
  request->axis = axis < 0 ? axis + rank : axis;
  return absl::OkStatus();
}

// Sets the element offset of `request`, whose type is set.
template <typename Message>
absl::Status DecodeElementOffset(const Message& message,
                                 TensorRequest* request) {
  const int64_t offset = message.element_offset();
  const int64_t most =
      std::numeric_limits<int64_t>::max() - request->type.num_elements;
  if (offset < 0 || offset > most) {
    return InvalidArgument("element_offset: ", offset, ", must be from 0 to ",
                           most, " for ", request->type.num_elements,
                           " elements");
  }
  request->element_offset = offset;
  return absl::OkStatus();
}

// The response's tensors must fit into a message too.
absl::Status CheckResponseSize(int64_t num_tensors, int64_t message_bytes,
                               const TensorType& type) {
  constexpr int64_t kRoomForHeader = 16 << 10;
  if (num_tensors * type.size_bytes() <= message_bytes - kRoomForHeader) {
    return absl::OkStatus();
  }
  return InvalidArgument("response: ", num_tensors, " tensors of ",
                         type.size_bytes(), " bytes, limit ",
                         message_bytes - kRoomForHeader,
                         " bytes together, by --max_message_bytes");
}

// Elements of value one, to be read again and again.
struct Ones {
  alignas(64) std::array<std::byte, 64 << 10> bytes;
};

const Ones& OnesOf(DType dtype) {
  const auto make = [](auto one) {
    auto* ones = new Ones;
    for (size_t at = 0; at < ones->bytes.size(); at += sizeof(one)) {
      std::memcpy(ones->bytes.data() + at, &one, sizeof(one));
    }
    return ones;
  };
  static const Ones* const float16 = make(uint16_t{0x3C00});
  static const Ones* const bfloat16 = make(uint16_t{0x3F80});
  static const Ones* const float32 = make(1.0f);
  static const Ones* const float64 = make(1.0);
  switch (dtype) {
    case DType::kFloat16:
      return *float16;
    case DType::kBFloat16:
      return *bfloat16;
    case DType::kFloat32:
      return *float32;
    case DType::kFloat64:
      break;
  }
  return *float64;
}

std::vector<Fragment> OnesTensor(const TensorType& type) {
  const Ones& ones = OnesOf(type.dtype);
  std::vector<Fragment> fragments;
  size_t left = type.size_bytes();
  while (left > 0) {
    const size_t run = std::min(left, ones.bytes.size());
    fragments.push_back({ones.bytes.data(), run});
    left -= run;
  }
  return fragments;
}

absl::Status DecodeLease(const v1::ForwardRequest& message,
                         const RequestLimits& limits, TensorRequest* request) {
  if (!message.keep_residual()) return absl::OkStatus();
  request->residual_lease = limits.default_lease;
  if (!message.has_residual_lease()) return absl::OkStatus();
  const int32_t nanos = message.residual_lease().nanos();
  if (nanos < 0 || nanos > 999'999'999) {
    return InvalidArgument("residual_lease: nanos: ", nanos,
                           ", must be between 0 and 999999999");
  }
  const absl::Duration lease =
      absl::Seconds(message.residual_lease().seconds()) +
      absl::Nanoseconds(nanos);
  if (lease <= absl::ZeroDuration()) {
    return InvalidArgument("residual_lease: ", absl::FormatDuration(lease),
                           " is not positive");
  }
  request->residual_lease = std::min(lease, limits.max_lease);
  return absl::OkStatus();
}

// Sets the members of a request that a residual holds: activation, type,
// inputs, parameters.
absl::Status TakeFromResidual(const v1::BackwardRequest& message,
                              Residuals& residuals, const Tenant* tenant,
                              TensorRequest* request, TensorInputs* inputs) {
  if (message.inputs_size() > 0) {
    return InvalidArgument("inputs: given together with a residual");
  }
  if (message.parameters_size() > 0) {
    return InvalidArgument("parameters: given together with a residual");
  }
  if (message.residual().size() != Residuals::kHandleBytes) {
    return InvalidArgument("residual: handle of ", message.residual().size(),
                           " bytes, must be ", Residuals::kHandleBytes);
  }
  auto residual = residuals.Get(message.residual(), tenant);
  if (residual == nullptr) return ResidualGoneError();
  if (!message.activation().empty() &&
      !residual->activation->IsCalled(message.activation())) {
    return InvalidArgument("activation: ", Quoted(message.activation()),
                           " is not that of the residual, ",
                           residual->activation->id());
  }
  request->activation = residual->activation;
  request->type = residual->type;
  request->parameters = residual->parameters;
  if (message.has_axis()) {
    ACTSERVE_RETURN_IF_ERROR(DecodeAxis(message, request));
    if (request->axis != residual->axis) {
      return InvalidArgument("axis: ", message.axis(),
                             " is not that of the residual, ", *residual->axis);
    }
  }
  request->axis = residual->axis;
  if (message.element_offset() != 0 &&
      message.element_offset() != residual->element_offset) {
    return InvalidArgument("element_offset: ", message.element_offset(),
                           " is not that of the residual, ",
                           residual->element_offset);
  }
  request->element_offset = residual->element_offset;
  *inputs = residual->inputs;
  request->residual = std::move(residual);
  return absl::OkStatus();
}

absl::Status TakeFromMessage(const v1::BackwardRequest& message,
                             const SplitRequest& split,
                             const RequestLimits& limits, Registry& registry,
                             const Tenant* tenant, TensorRequest* request,
                             TensorInputs* inputs) {
  if (message.inputs_size() == 0) {
    return InvalidArgument("inputs: neither these nor a residual are set");
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      request->activation,
      FindActivation(message.activation(), registry, tenant));
  ACTSERVE_RETURN_IF_ERROR(
      DecodeInputs(message.inputs(), split, limits.tensor, request, inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeAxis(message, request));
  ACTSERVE_RETURN_IF_ERROR(DecodeElementOffset(message, request));
  return DecodeParameters(message.parameters(), request);
}

// Adds dy, the last of the program's tensor inputs.
absl::Status DecodeGradOutput(const v1::BackwardRequest& message,
                              const SplitRequest& split,
                              const TensorLimits& limits,
                              const TensorRequest& request,
                              TensorInputs* inputs) {
  if (!message.has_grad_output()) {
    inputs->push_back(OnesTensor(request.type));
    return absl::OkStatus();
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      const TensorType type,
      DecodeTensor("grad_output", message.grad_output(), limits));
  ACTSERVE_RETURN_IF_ERROR(
      CheckSameType("grad_output", type, "the inputs", request.type));
  const SplitRequest::Payload& payload = split.payloads.back();
  ACTSERVE_RETURN_IF_ERROR(CheckPayload(
      "grad_output", type, static_cast<int64_t>(payload.size_bytes)));
  const auto fragments = split.FragmentsOf(payload);
  inputs->emplace_back(fragments.begin(), fragments.end());
  return absl::OkStatus();
}

// `variables` of the key are those that the request names.
void SetKey(Direction direction, TensorRequest* request) {
  uint64_t& variables = request->program.variables;
  if (std::popcount(variables) > 1) {
    const GradientSets& sets = request->activation->gradient_sets();
    variables = direction == Direction::kForward ? sets.ForForward(variables)
                                                 : sets.ForBackward(variables);
  }
  request->program.activation_id = request->activation->id();
  request->program.direction = direction;
  request->program.dtype = request->type.dtype;
}

// A message of metadata alone; field 15 has been taken out.
template <typename Message>
absl::Status Parse(const std::string& metadata, Message* message) {
  if (message->ParseFromString(metadata)) return absl::OkStatus();
  return InvalidArgument("request is not a valid protobuf message");
}

}  // namespace

Rows TensorRequest::rows() const {
  Rows rows;
  if (!axis.has_value()) return rows;
  rows.size = type.shape[*axis];
  for (size_t i = *axis + 1; i < type.shape.size(); ++i) {
    rows.stride *= type.shape[i];
  }
  return rows;
}

absl::StatusOr<DecodedRequest> DecodeForward(const SplitRequest& split,
                                             const RequestLimits& limits,
                                             Registry& registry,
                                             const Tenant* tenant) {
  using M = v1::ForwardRequest;
  M message;
  ACTSERVE_RETURN_IF_ERROR(Parse(split.metadata, &message));
  ACTSERVE_RETURN_IF_ERROR(CheckGivenOnce(
      split, {{"activation", M::kActivationFieldNumber},
              {"keep_residual", M::kKeepResidualFieldNumber},
              {"axis", M::kAxisFieldNumber},
              {"element_offset", M::kElementOffsetFieldNumber},
              {"residual_lease", M::kResidualLeaseFieldNumber}}));
  DecodedRequest decoded;
  TensorRequest& request = decoded.request;
  ACTSERVE_ASSIGN_OR_RETURN(
      request.activation,
      FindActivation(message.activation(), registry, tenant));
  ACTSERVE_RETURN_IF_ERROR(
      CheckPayloadCount(message.inputs_size(), "the inputs", split));
  ACTSERVE_RETURN_IF_ERROR(DecodeInputs(message.inputs(), split, limits.tensor,
                                        &request, &decoded.inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeAxis(message, &request));
  ACTSERVE_RETURN_IF_ERROR(DecodeElementOffset(message, &request));
  ACTSERVE_RETURN_IF_ERROR(DecodeParameters(message.parameters(), &request));
  ACTSERVE_RETURN_IF_ERROR(DecodeVariables("partials", message.partials(),
                                           /*parameters_allowed=*/false,
                                           &request));
  if (request.axis.has_value() && !request.variables.empty()) {
    return InvalidArgument("partials: an element of the result of ",
                           request.activation->activation().name(),
                           " depends on its whole row, so there are none");
  }
  ACTSERVE_RETURN_IF_ERROR(DecodeLease(message, limits, &request));
  ACTSERVE_RETURN_IF_ERROR(CheckResponseSize(
      1 + request.variables.size(), limits.message_bytes, request.type));
  SetKey(Direction::kForward, &request);
  return decoded;
}

absl::StatusOr<DecodedRequest> DecodeBackward(const SplitRequest& split,
                                              const RequestLimits& limits,
                                              Registry& registry,
                                              Residuals& residuals,
                                              const Tenant* tenant) {
  using M = v1::BackwardRequest;
  M message;
  ACTSERVE_RETURN_IF_ERROR(Parse(split.metadata, &message));
  ACTSERVE_RETURN_IF_ERROR(
      CheckGivenOnce(split, {{"activation", M::kActivationFieldNumber},
                             {"residual", M::kResidualFieldNumber},
                             {"axis", M::kAxisFieldNumber},
                             {"element_offset", M::kElementOffsetFieldNumber},
                             {"grad_output", M::kGradOutputFieldNumber}}));
  ACTSERVE_RETURN_IF_ERROR(CheckPayloadCount(
      message.inputs_size() + (message.has_grad_output() ? 1 : 0),
      "the inputs and grad_output", split));
  DecodedRequest decoded;
  TensorRequest& request = decoded.request;
  ACTSERVE_RETURN_IF_ERROR(message.residual().empty()
                               ? TakeFromMessage(message, split, limits,
                                                 registry, tenant, &request,
                                                 &decoded.inputs)
                               : TakeFromResidual(message, residuals, tenant,
                                                  &request, &decoded.inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeGradOutput(message, split, limits.tensor,
                                            request, &decoded.inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeVariables(
      "wrt", message.wrt(), /*parameters_allowed=*/true, &request));
  if (request.variables.empty()) {
    for (int i = 0; i < request.num_inputs(); ++i) {
      request.variables.push_back(i);
      request.program.variables |= uint64_t{1} << i;
    }
  }
  const auto is_tensor = [&](int variable) {
    return !request.IsParameter(variable);
  };
  ACTSERVE_RETURN_IF_ERROR(
      CheckResponseSize(std::ranges::count_if(request.variables, is_tensor),
                        limits.message_bytes, request.type));
  SetKey(Direction::kBackward, &request);
  return decoded;
}

}  // namespace actserve
