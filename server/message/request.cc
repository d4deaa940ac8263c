#include "server/message/request.h"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actserve/v1/service.pb.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "proto/all_inputs_name.h"
#include "proto/grad_output_name.h"
#include "server/message/errors.h"
#include "server/message/ones.h"
#include "server/message/request_tensors.h"
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

// The inputs and then the parameters. If one tensor holds all inputs, the first
// one stands for them.
std::vector<std::string> VariablesOf(const TensorRequest& request) {
  const Activation& activation = request.activation->activation();
  std::vector<std::string> names = activation.inputs();
  if (request.split.has_value()) names.assign(names.size(), kAllInputsName);
  for (const Parameter& p : activation.parameters()) names.push_back(p.name);
  return names;
}

// Returns the index of `name` in `known`, and adds it to `set`.
absl::StatusOr<int> TakeName(absl::string_view field, const std::string& name,
                             const std::vector<std::string>& known,
                             uint64_t* set) {
  const auto it = std::find(known.begin(), known.end(), name);
  if (it == known.end()) {
    std::vector<std::string> names = known;
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return InvalidArgument(field, ": ", Quoted(name), " is not one of ",
                           absl::StrJoin(names, ", "),
                           names[0] == kAllInputsName
                               ? "; with split_axis, * stands for all inputs"
                               : "");
  }
  const int index = static_cast<int>(it - known.begin());
  const uint64_t bit = uint64_t{1} << index;
  if (*set & bit) {
    return InvalidArgument(field, ": ", Quoted(name),
                           " is given more than once");
  }
  *set |= bit;
  return index;
}

// `set` of variables, of which the first stands for all inputs if one tensor
// holds them.
uint64_t WithAllInputs(const TensorRequest& request, uint64_t set) {
  if (!request.split.has_value() || (set & 1) == 0) return set;
  return set | ((uint64_t{1} << request.num_inputs()) - 1);
}

absl::Status DecodePartials(const v1::ForwardRequest& message,
                            TensorRequest* request) {
  std::vector<std::string> known = VariablesOf(*request);
  known.resize(request->num_inputs());
  for (const std::string& name : message.partials()) {
    ACTSERVE_ASSIGN_OR_RETURN(
        const int index,
        TakeName("partials", name, known, &request->program.variables));
    request->variables.push_back(index);
  }
  request->program.variables =
      WithAllInputs(*request, request->program.variables);
  for (const int variable : request->variables) {
    if (request->BroadcastOf(variable) != nullptr) {
      return InvalidArgument("partials: ", Quoted(known[variable]),
                             " broadcasts, so its gradient is a sum");
    }
  }
  if (request->axis.has_value() && !request->variables.empty()) {
    return InvalidArgument("partials: an element of the result of ",
                           request->activation->activation().name(),
                           " depends on its whole row, so there are none");
  }
  return absl::OkStatus();
}

absl::Status DecodeWrt(const RepeatedPtrField<std::string>& names, int order,
                       TensorRequest* request) {
  ProgramKey& program = request->program;
  std::vector<std::string> known = VariablesOf(*request);
  if (order == 2) known.push_back(kGradOutputName);
  uint64_t grad_output = 0;
  for (const std::string& name : names) {
    // It has no bit among the 64 of the others.
    if (order == 2 && name == kGradOutputName) {
      ACTSERVE_RETURN_IF_ERROR(
          TakeName("wrt", name, {kGradOutputName}, &grad_output).status());
      program.wrt_grad_output = true;
      request->variables.push_back(request->grad_output());
      continue;
    }
    ACTSERVE_ASSIGN_OR_RETURN(const int index,
                              TakeName("wrt", name, known, &program.variables));
    request->variables.push_back(index);
  }
  if (request->variables.empty()) {
    const int num_gradients =
        request->split.has_value() ? 1 : request->num_inputs();
    for (int i = 0; i < num_gradients; ++i) {
      request->variables.push_back(i);
      program.variables |= uint64_t{1} << i;
    }
  }
  program.variables = WithAllInputs(*request, program.variables);
  return absl::OkStatus();
}

int CountTensors(const RepeatedPtrField<v1::NamedValue>& values) {
  return static_cast<int>(
      std::ranges::count_if(values, &v1::NamedValue::has_tensor));
}

// Adds `values`, to which the last payloads belong, to the program's inputs and
// parameters, in the order of the activation. Returns which variables they are
// for, as ProgramKey::variables.
absl::StatusOr<uint64_t> DecodeNamedValues(
    absl::string_view field, const RepeatedPtrField<v1::NamedValue>& values,
    const SplitRequest& split, const TensorLimits& limits,
    TensorRequest* request, TensorInputs* inputs) {
  const std::vector<std::string> known = VariablesOf(*request);
  uint64_t set = 0;
  absl::btree_map<int, const SplitRequest::Payload*> tensors;
  absl::btree_map<int, double> scalars;
  auto payload = split.payloads.end() - CountTensors(values);
  for (const v1::NamedValue& value : values) {
    ACTSERVE_ASSIGN_OR_RETURN(const int variable,
                              TakeName(field, value.name(), known, &set));
    const std::string what = absl::StrCat(field, ": ", Quoted(value.name()));
    if (request->IsNumber(variable)) {
      if (!value.has_scalar()) {
        return InvalidArgument(what, " is a parameter, and has no scalar");
      }
      scalars[variable] = value.scalar();
      continue;
    }
    if (!value.has_tensor()) {
      return InvalidArgument(what,
                             request->IsParameter(variable)
                                 ? " is a parameter given as a tensor"
                                 : " is an input",
                             ", and has no tensor");
    }
    const bool is_whole = request->BroadcastOf(variable) == nullptr;
    ACTSERVE_RETURN_IF_ERROR(
        DecodeTensorLike(what, value.tensor(), *payload, limits,
                         is_whole ? "the inputs" : Quoted(value.name()),
                         request->TypeOf(variable)));
    tensors[variable] = &*payload++;
  }
  for (const auto& [variable, tensor] : tensors) {
    if (const BroadcastTensor* like = request->BroadcastOf(variable)) {
      AddBroadcast(*like, split, *tensor, request, inputs);
    } else {
      AddInput(split, *tensor, request, inputs);
    }
  }
  for (const auto& [variable, scalar] : scalars) {
    request->parameters.push_back(scalar);
  }
  return WithAllInputs(*request, set);
}

// Sets the variables of the program.
absl::Status DecodeTangents(const v1::ForwardRequest& message,
                            const SplitRequest& split,
                            const TensorLimits& limits, TensorRequest* request,
                            TensorInputs* inputs) {
  if (message.partials_size() > 0) {
    return InvalidArgument("partials: given together with tangents");
  }
  if (message.keep_residual()) {
    return InvalidArgument("keep_residual: given together with tangents");
  }
  ACTSERVE_ASSIGN_OR_RETURN(request->program.variables,
                            DecodeNamedValues("tangents", message.tangents(),
                                              split, limits, request, inputs));
  return absl::OkStatus();
}

absl::StatusOr<int> DecodeOrder(const v1::BackwardRequest& message) {
  const int order = message.has_order() ? message.order() : 1;
  if (order != 1 && order != 2) {
    return InvalidArgument("order: ", order, ", must be 1 or 2");
  }
  if (order == 1 && message.cotangents_size() > 0) {
    return InvalidArgument("cotangents: given with order 1");
  }
  if (order == 2 && message.cotangents_size() == 0) {
    return InvalidArgument("cotangents: none given, order 2 needs one");
  }
  return order;
}

// Sets the type of `request` and adds its inputs.
template <typename Message>
absl::Status DecodeInputsOf(const Message& message, const SplitRequest& split,
                            const TensorLimits& limits, TensorRequest* request,
                            TensorInputs* inputs) {
  return message.has_split_axis()
             ? DecodeSplitInputs(message.inputs(), message.split_axis(), split,
                                 limits, request, inputs)
             : DecodeInputs(message.inputs(), split, limits, request, inputs);
}

// InvalidArgument if a request gives another split_axis than its residual.
absl::Status CheckSplitAxis(const v1::BackwardRequest& message,
                            const Residual& residual) {
  if (!message.has_split_axis()) return absl::OkStatus();
  const int axis = message.split_axis();
  if (!residual.split.has_value()) {
    return InvalidArgument("split_axis: ", axis,
                           " given, but the residual was made without");
  }
  const auto rank = static_cast<int>(residual.split->type.shape.size());
  if ((axis < 0 ? axis + rank : axis) == residual.split->axis) {
    return absl::OkStatus();
  }
  return InvalidArgument("split_axis: ", axis, " is not that of the residual, ",
                         residual.split->axis);
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
  ACTSERVE_RETURN_IF_ERROR(CheckSplitAxis(message, *residual));
  request->split = residual->split;
  request->parameters = residual->parameters;
  request->broadcasts = residual->broadcasts;
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
  request->payloads.assign(inputs->size(), TensorRequest::kNoPayload);
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
      DecodeInputsOf(message, split, limits.tensor, request, inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeAxis(message, request));
  ACTSERVE_RETURN_IF_ERROR(DecodeElementOffset(message, request));
  return DecodeParameters(message.parameters(), message.inputs_size(), split,
                          limits.tensor, request, inputs);
}

// Adds dy.
absl::Status DecodeGradOutput(const v1::BackwardRequest& message,
                              const SplitRequest& split,
                              const TensorLimits& limits,
                              TensorRequest* request, TensorInputs* inputs) {
  if (!message.has_grad_output()) {
    AddInput(OnesTensor(request->type), request, inputs);
    return absl::OkStatus();
  }
  const SplitRequest::Payload& payload =
      split.payloads[message.inputs_size() +
                     CountParameterTensors(message.parameters())];
  ACTSERVE_RETURN_IF_ERROR(DecodeTensorLike(
      "grad_output", message.grad_output(), payload, limits,
      request->split.has_value() ? "each part of the inputs" : "the inputs",
      request->type));
  AddInput(split, payload, request, inputs);
  return absl::OkStatus();
}

// `variables` of the key are those that the request names.
void SetKey(Direction direction, TensorRequest* request) {
  uint64_t& variables = request->program.variables;
  const bool may_be_larger =
      direction == Direction::kForward || direction == Direction::kBackward;
  if (may_be_larger && std::popcount(variables) > 1) {
    const GradientSets& sets = request->activation->gradient_sets();
    variables = direction == Direction::kForward ? sets.ForForward(variables)
                                                 : sets.ForBackward(variables);
  }
  for (const BroadcastTensor& tensor : request->broadcasts) {
    request->program.broadcasts |= uint64_t{1} << tensor.variable;
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

const BroadcastTensor* TensorRequest::BroadcastOf(int variable) const {
  const auto found =
      std::ranges::find(broadcasts, variable, &BroadcastTensor::variable);
  return found == broadcasts.end() ? nullptr : &*found;
}

const TensorType& TensorRequest::TypeOf(int variable) const {
  if (split.has_value() && variable < num_inputs()) return split->type;
  const BroadcastTensor* broadcast = BroadcastOf(variable);
  return broadcast == nullptr ? type : broadcast->type;
}

int64_t TensorRequest::NumGradientTensors() const {
  int64_t num_tensors = 0;
  for (const int variable : variables) {
    if (IsNumber(variable)) continue;
    const bool is_split = split.has_value() && variable < num_inputs();
    num_tensors += is_split ? split->num_parts : 1;
  }
  return num_tensors;
}

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
              {"split_axis", M::kSplitAxisFieldNumber},
              {"element_offset", M::kElementOffsetFieldNumber},
              {"residual_lease", M::kResidualLeaseFieldNumber}}));
  DecodedRequest decoded;
  TensorRequest& request = decoded.request;
  ACTSERVE_ASSIGN_OR_RETURN(
      request.activation,
      FindActivation(message.activation(), registry, tenant));
  const bool has_tangents = message.tangents_size() > 0;
  const int num_parameters = CountParameterTensors(message.parameters());
  ACTSERVE_RETURN_IF_ERROR(CheckPayloadCount(
      message.inputs_size() + num_parameters + CountTensors(message.tangents()),
      absl::StrCat("the inputs", num_parameters > 0 ? ", parameters" : "",
                   has_tangents ? " and tangents" : ""),
      split));
  ACTSERVE_RETURN_IF_ERROR(
      DecodeInputsOf(message, split, limits.tensor, &request, &decoded.inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeAxis(message, &request));
  ACTSERVE_RETURN_IF_ERROR(DecodeElementOffset(message, &request));
  ACTSERVE_RETURN_IF_ERROR(
      DecodeParameters(message.parameters(), message.inputs_size(), split,
                       limits.tensor, &request, &decoded.inputs));
  if (has_tangents) {
    ACTSERVE_RETURN_IF_ERROR(DecodeTangents(message, split, limits.tensor,
                                            &request, &decoded.inputs));
  } else {
    ACTSERVE_RETURN_IF_ERROR(DecodePartials(message, &request));
    ACTSERVE_RETURN_IF_ERROR(DecodeLease(message, limits, &request));
  }
  ACTSERVE_RETURN_IF_ERROR(
      CheckResponseSize((has_tangents ? 2 : 1) + request.NumGradientTensors(),
                        limits.message_bytes, request.type));
  SetKey(has_tangents ? Direction::kTangent : Direction::kForward, &request);
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
                             {"split_axis", M::kSplitAxisFieldNumber},
                             {"element_offset", M::kElementOffsetFieldNumber},
                             {"order", M::kOrderFieldNumber},
                             {"grad_output", M::kGradOutputFieldNumber}}));
  ACTSERVE_ASSIGN_OR_RETURN(const int order, DecodeOrder(message));
  const int num_parameters = CountParameterTensors(message.parameters());
  ACTSERVE_RETURN_IF_ERROR(CheckPayloadCount(
      message.inputs_size() + num_parameters +
          (message.has_grad_output() ? 1 : 0) +
          CountTensors(message.cotangents()),
      absl::StrCat(
          "the inputs", num_parameters > 0 ? ", parameters" : "",
          order == 1 ? " and grad_output" : ", grad_output and cotangents"),
      split));
  DecodedRequest decoded;
  TensorRequest& request = decoded.request;
  ACTSERVE_RETURN_IF_ERROR(message.residual().empty()
                               ? TakeFromMessage(message, split, limits,
                                                 registry, tenant, &request,
                                                 &decoded.inputs)
                               : TakeFromResidual(message, residuals, tenant,
                                                  &request, &decoded.inputs));
  ACTSERVE_RETURN_IF_ERROR(DecodeGradOutput(message, split, limits.tensor,
                                            &request, &decoded.inputs));
  if (order == 2) {
    ACTSERVE_ASSIGN_OR_RETURN(
        request.program.cotangents,
        DecodeNamedValues("cotangents", message.cotangents(), split,
                          limits.tensor, &request, &decoded.inputs));
  }
  ACTSERVE_RETURN_IF_ERROR(DecodeWrt(message.wrt(), order, &request));
  ACTSERVE_RETURN_IF_ERROR(CheckResponseSize(
      request.NumGradientTensors(), limits.message_bytes, request.type));
  SetKey(order == 1 ? Direction::kBackward : Direction::kSecondOrder, &request);
  return decoded;
}

}  // namespace actserve
