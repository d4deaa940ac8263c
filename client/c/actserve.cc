#include "client/c/actserve.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/c/handles.h"
#include "client/cpp/client.h"
#include "client/cpp/tensor_calls.h"
#include "kernels/base/status_macros.h"

using ::actserve::BackwardCall;
using ::actserve::CallOptions;
using ::actserve::Client;
using ::actserve::ForwardCall;
using ::actserve::Missing;
using ::actserve::NamedValue;
using ::actserve::Read;
using ::actserve::SetDuration;
using ::actserve::SetTimeout;
using ::actserve::TensorView;
using ::actserve::ToStatus;

namespace {

namespace v1 = ::actserve::v1;

absl::StatusOr<TensorView> ToView(const actserve_tensor& tensor,
                                  const std::string& what) {
  const auto dtype = static_cast<v1::DType>(tensor.dtype);
  const int64_t item_size_bytes = actserve::ItemSizeBytes(dtype);
  if (item_size_bytes == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": dtype ", tensor.dtype, " is not in 1 to 4"));
  }
  if (tensor.rank < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": rank ", tensor.rank, " is negative"));
  }
  if (tensor.rank > 0 && tensor.shape == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": shape is NULL, rank ", tensor.rank));
  }
  TensorView view;
  view.dtype = dtype;
  view.shape.assign(tensor.shape, tensor.shape + tensor.rank);
  int64_t size_bytes = item_size_bytes;
  for (const int64_t dimension : view.shape) {
    if (dimension < 0 ||
        __builtin_mul_overflow(size_bytes, dimension, &size_bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": dimension ", dimension, " cannot be"));
    }
  }
  if (size_bytes > 0 && tensor.data == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": data is NULL, ", size_bytes, " bytes"));
  }
  view.bytes = {static_cast<const std::byte*>(tensor.data),
                static_cast<size_t>(size_bytes)};
  return view;
}

absl::StatusOr<absl::Span<std::byte>> ToOutput(const actserve_tensor* tensor,
                                               const std::string& what) {
  if (tensor == nullptr) return Missing(what.c_str());
  ACTSERVE_ASSIGN_OR_RETURN(const TensorView view, ToView(*tensor, what));
  return absl::MakeSpan(static_cast<std::byte*>(tensor->data),
                        view.bytes.size());
}

absl::StatusOr<std::vector<TensorView>> ToViews(const actserve_tensor* inputs,
                                                size_t num_inputs) {
  if (inputs == nullptr && num_inputs > 0) return Missing("inputs");
  std::vector<TensorView> views;
  for (size_t i = 0; i < num_inputs; ++i) {
    ACTSERVE_ASSIGN_OR_RETURN(TensorView view,
                              ToView(inputs[i], absl::StrCat("input ", i)));
    views.push_back(std::move(view));
  }
  return views;
}

absl::StatusOr<std::vector<NamedValue>> ToValues(const actserve_value* values,
                                                 size_t num_values,
                                                 const char* what) {
  if (values == nullptr && num_values > 0) return Missing(what);
  std::vector<NamedValue> named;
  for (size_t i = 0; i < num_values; ++i) {
    if (values[i].name == nullptr) {
      return Missing(absl::StrCat(what, ": name ", i).c_str());
    }
    NamedValue value;
    value.name = values[i].name;
    value.scalar = values[i].number;
    if (values[i].tensor != nullptr) {
      ACTSERVE_ASSIGN_OR_RETURN(
          value.tensor,
          ToView(*values[i].tensor, absl::StrCat(what, " ", value.name)));
    }
    named.push_back(std::move(value));
  }
  return named;
}

absl::StatusOr<CallOptions> ToOptions(actserve_client& client,
                                      const actserve_call_options* given) {
  ACTSERVE_ASSIGN_OR_RETURN(const actserve_call_options read,
                            Read(given, "actserve_call_options"));
  CallOptions options;
  if (read.parameters == nullptr && read.num_parameters > 0) {
    return Missing("parameters");
  }
  for (size_t i = 0; i < read.num_parameters; ++i) {
    const actserve_parameter& parameter = read.parameters[i];
    if (parameter.name == nullptr) {
      return Missing(absl::StrCat("parameters: name ", i).c_str());
    }
    if (parameter.tensor == nullptr) {
      options.parameters[parameter.name] = parameter.value;
      continue;
    }
    ACTSERVE_ASSIGN_OR_RETURN(
        TensorView view,
        ToView(*parameter.tensor, absl::StrCat("parameter ", parameter.name)));
    options.parameter_tensors[parameter.name] = {std::move(view),
                                                 parameter.axis};
  }
  if (read.has_axis != 0) options.axis = read.axis;
  if (read.has_split_axis != 0) options.split_axis = read.split_axis;
  options.element_offset = read.element_offset;
  options.cancellation = &client.cancellation;
  SetTrace(read.traceparent, read.tracestate, options);
  if (read.has_device_stream != 0) options.device_stream = read.device_stream;
  ACTSERVE_RETURN_IF_ERROR(SetTimeout(read.timeout_seconds, options.timeout));
  return options;
}

absl::StatusOr<std::unique_ptr<Client>> Connect(
    const char* address, const actserve_client_options* given) {
  if (address == nullptr) return Missing("address");
  ACTSERVE_ASSIGN_OR_RETURN(const actserve_client_options read,
                            Read(given, "actserve_client_options"));
  actserve::LocalOptions local;
  ACTSERVE_RETURN_IF_ERROR(SetTimeout(read.timeout_seconds, local.timeout));
  if (read.device != nullptr) local.device = read.device;
  local.num_threads = read.num_threads;
  if (read.cache_directory != nullptr) {
    local.cache_directory = read.cache_directory;
  }
  const absl::string_view where = address;
  if (where == "local") return Client::Local(local);
  Client::Options options;
  ACTSERVE_RETURN_IF_ERROR(SetTimeout(read.timeout_seconds, options.timeout));
  if (read.max_attempts != 0) options.max_attempts = read.max_attempts;
  const auto set = [](const char* from, std::string& to) {
    if (from != nullptr) to = from;
  };
  set(read.tls_ca, options.security.tls_ca);
  set(read.client_cert, options.security.client_cert);
  set(read.client_key, options.security.client_key);
  set(read.tls_server_name, options.security.tls_server_name);
  set(read.token, options.security.token);
  set(read.token_file, options.security.token_file);
  options.security.insecure = read.insecure != 0;
  constexpr absl::string_view kAuto = "auto:";
  if (absl::StartsWith(where, kAuto)) {
    return Client::Auto(address + kAuto.size(), options, local);
  }
  return Client::Connect(address, options);
}

absl::Status Forward(actserve_client& client, const char* activation,
                     const actserve_forward_call& given,
                     const actserve_call_options* options) {
  if (activation == nullptr) return Missing("activation");
  ForwardCall call;
  call.activation = activation;
  ACTSERVE_ASSIGN_OR_RETURN(call.inputs,
                            ToViews(given.inputs, given.num_inputs));
  ACTSERVE_ASSIGN_OR_RETURN(call.output, ToOutput(given.output, "output"));
  ACTSERVE_ASSIGN_OR_RETURN(call.options, ToOptions(client, options));
  if (given.partials == nullptr && given.num_partials > 0) {
    return Missing("partials");
  }
  for (size_t i = 0; i < given.num_partials; ++i) {
    const actserve_partial& partial = given.partials[i];
    if (partial.name == nullptr) return Missing("partials: a name");
    ForwardCall::Partial& wanted = call.partials.emplace_back();
    wanted.input = partial.name;
    ACTSERVE_ASSIGN_OR_RETURN(
        wanted.output,
        ToOutput(partial.tensor, absl::StrCat("the partial ", wanted.input)));
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      call.tangents, ToValues(given.tangents, given.num_tangents, "tangents"));
  if (!call.tangents.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(call.tangent, ToOutput(given.tangent, "tangent"));
  }
  call.keep_residual = given.residual != nullptr;
  ACTSERVE_RETURN_IF_ERROR(SetDuration(given.residual_lease_seconds,
                                       "residual_lease_seconds",
                                       call.residual_lease));
  ACTSERVE_ASSIGN_OR_RETURN(const actserve::ForwardResult result,
                            client.client->ForwardWith(call));
  if (given.residual != nullptr) {
    *given.residual =
        result.residual ? new actserve_residual{*result.residual} : nullptr;
  }
  return absl::OkStatus();
}

absl::Status Backward(actserve_client& client, const char* activation,
                      const actserve_backward_call* given,
                      const actserve_call_options* options) {
  if (activation == nullptr) return Missing("activation");
  if (given == nullptr) return Missing("call");
  ACTSERVE_ASSIGN_OR_RETURN(const actserve_backward_call read,
                            Read(given, "actserve_backward_call"));
  BackwardCall call;
  call.activation = activation;
  ACTSERVE_ASSIGN_OR_RETURN(call.inputs, ToViews(read.inputs, read.num_inputs));
  if (read.grad_output != nullptr) {
    ACTSERVE_ASSIGN_OR_RETURN(call.grad_output,
                              ToView(*read.grad_output, "grad_output"));
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      call.cotangents,
      ToValues(read.cotangents, read.num_cotangents, "cotangents"));
  if (!call.cotangents.empty()) call.order = 2;
  ACTSERVE_ASSIGN_OR_RETURN(call.options, ToOptions(client, options));
  if (read.residual != nullptr) {
    call.residual = read.residual->residual.handle();
  }
  if (read.gradients == nullptr && read.num_gradients > 0) {
    return Missing("gradients");
  }
  const absl::Span<actserve_gradient> gradients(read.gradients,
                                                read.num_gradients);
  for (const actserve_gradient& gradient : gradients) {
    if (gradient.name == nullptr) return Missing("gradients: a name");
    BackwardCall::Gradient& wanted = call.wrt.emplace_back();
    wanted.name = gradient.name;
    if (gradient.tensor == nullptr) continue;
    ACTSERVE_ASSIGN_OR_RETURN(
        wanted.output,
        ToOutput(gradient.tensor, absl::StrCat("the gradient ", wanted.name)));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const actserve::BackwardResult result,
                            client.client->Backward(call));
  for (actserve_gradient& gradient : gradients) {
    const auto number = result.parameter_gradients.find(gradient.name);
    if (number != result.parameter_gradients.end()) {
      gradient.number = number->second;
    }
  }
  return absl::OkStatus();
}

actserve_diagnostic ToDiagnostic(const v1::Diagnostic& diagnostic) {
  const char* severity = "error";
  if (diagnostic.severity() == v1::Diagnostic::WARNING) severity = "warning";
  if (diagnostic.severity() == v1::Diagnostic::NOTE) severity = "note";
  return {severity, diagnostic.message().c_str(), diagnostic.line(),
          diagnostic.column()};
}

}  // namespace

const char* actserve_version(void) { return ACTSERVE_VERSION; }

int actserve_status_code(const actserve_status* status) {
  return status == nullptr ? 0 : status->code;
}
const char* actserve_status_message(const actserve_status* status) {
  return status == nullptr ? "" : status->message.c_str();
}
const char* actserve_status_reason(const actserve_status* status) {
  return status == nullptr ? "" : status->reason.c_str();
}
size_t actserve_status_num_diagnostics(const actserve_status* status) {
  return status == nullptr ? 0 : status->diagnostics.size();
}
actserve_diagnostic actserve_status_diagnostic(const actserve_status* status,
                                               size_t index) {
  return ToDiagnostic(status->diagnostics[index]);
}
void actserve_status_free(actserve_status* status) { delete status; }

actserve_status* actserve_connect(const char* address,
                                  const actserve_client_options* options,
                                  actserve_client** client) {
  auto made = Connect(address, options);
  if (!made.ok()) return ToStatus(made.status());
  *client = new actserve_client{*std::move(made), {}};
  return nullptr;
}
void actserve_close(actserve_client* client) { delete client; }
actserve_memory* actserve_allocate(actserve_client* client, size_t size) {
  auto bytes = client->client->Allocate(size);
  return bytes != nullptr ? new actserve_memory{std::move(bytes)} : nullptr;
}
void* actserve_memory_data(const actserve_memory* memory) {
  return memory->bytes.get();
}
void actserve_memory_free(actserve_memory* memory) { delete memory; }

actserve_status* actserve_share_device(actserve_client* client,
                                       const void* pointer) {
  return ToStatus(client->client->ShareDevice(pointer));
}
void actserve_forget_device(actserve_client* client, const void* pointer) {
  client->client->ForgetDevice(pointer);
}

void actserve_cancel(actserve_client* client) { client->cancellation.Cancel(); }

actserve_status* actserve_health(actserve_client* client,
                                 double timeout_seconds, int32_t* serving) {
  absl::Duration timeout;
  if (absl::Status status = SetTimeout(timeout_seconds, timeout);
      !status.ok()) {
    return ToStatus(status);
  }
  const auto replicas = client->client->HealthOfReplicas(timeout);
  if (!replicas.ok()) return ToStatus(replicas.status());
  absl::Status failure;
  bool answered = false;
  *serving = 0;
  for (const actserve::ReplicaHealth& replica : *replicas) {
    if (replica.status.ok()) *serving = 1;
    answered |= replica.answered;
    if (!replica.answered) failure = replica.status;
  }
  return answered ? nullptr : ToStatus(failure);
}

actserve_status* actserve_register(actserve_client* client, const char* text,
                                   actserve_activation** activation) {
  if (text == nullptr) return ToStatus(Missing("text"));
  auto response = client->client->RegisterActivation(text);
  if (!response.ok()) return ToStatus(response.status());
  *activation = new actserve_activation{
      std::move(*response->mutable_activation()),
      {response->diagnostics().begin(), response->diagnostics().end()}};
  return nullptr;
}
actserve_status* actserve_describe(actserve_client* client, const char* name,
                                   actserve_activation** activation) {
  if (name == nullptr) return ToStatus(Missing("name"));
  auto response = client->client->GetActivation(name);
  if (!response.ok()) return ToStatus(response.status());
  *activation = new actserve_activation{*std::move(response), {}};
  return nullptr;
}
const char* actserve_activation_id(const actserve_activation* activation) {
  return activation->activation.id().c_str();
}
const char* actserve_activation_name(const actserve_activation* activation) {
  return activation->activation.name().c_str();
}
size_t actserve_activation_num_inputs(const actserve_activation* activation) {
  return activation->activation.inputs_size();
}
const char* actserve_activation_input(const actserve_activation* activation,
                                      size_t index) {
  return activation->activation.inputs(static_cast<int>(index)).c_str();
}
size_t actserve_activation_num_parameters(
    const actserve_activation* activation) {
  return activation->activation.parameters_size();
}
const char* actserve_activation_parameter(const actserve_activation* activation,
                                          size_t index) {
  return activation->activation.parameters(static_cast<int>(index))
      .name()
      .c_str();
}
double actserve_activation_default(const actserve_activation* activation,
                                   size_t index) {
  return activation->activation.parameters(static_cast<int>(index))
      .default_value();
}
int actserve_activation_reads_rows(const actserve_activation* activation) {
  return activation->activation.reads_rows() ? 1 : 0;
}
size_t actserve_activation_num_diagnostics(
    const actserve_activation* activation) {
  return activation->diagnostics.size();
}
actserve_diagnostic actserve_activation_diagnostic(
    const actserve_activation* activation, size_t index) {
  return ToDiagnostic(activation->diagnostics[index]);
}
void actserve_activation_free(actserve_activation* activation) {
  delete activation;
}

actserve_status* actserve_forward(actserve_client* client,
                                  const char* activation,
                                  const actserve_tensor* inputs,
                                  size_t num_inputs,
                                  const actserve_tensor* output,
                                  const actserve_call_options* options) {
  actserve_forward_call call = {};
  call.inputs = inputs;
  call.num_inputs = num_inputs;
  call.output = output;
  return ToStatus(Forward(*client, activation, call, options));
}

actserve_status* actserve_jvp(actserve_client* client, const char* activation,
                              const actserve_tensor* inputs, size_t num_inputs,
                              const actserve_value* tangents,
                              size_t num_tangents,
                              const actserve_tensor* output,
                              const actserve_tensor* tangent,
                              const actserve_call_options* options) {
  if (num_tangents == 0) {
    return ToStatus(absl::InvalidArgumentError("no tangents"));
  }
  actserve_forward_call call = {};
  call.inputs = inputs;
  call.num_inputs = num_inputs;
  call.output = output;
  call.tangents = tangents;
  call.num_tangents = num_tangents;
  call.tangent = tangent;
  return ToStatus(Forward(*client, activation, call, options));
}

actserve_status* actserve_forward_with(actserve_client* client,
                                       const char* activation,
                                       const actserve_forward_call* call,
                                       const actserve_call_options* options) {
  if (call == nullptr) return ToStatus(Missing("call"));
  const auto read = Read(call, "actserve_forward_call");
  if (!read.ok()) return ToStatus(read.status());
  return ToStatus(Forward(*client, activation, *read, options));
}

double actserve_residual_lease_seconds(const actserve_residual* residual) {
  const auto& lease = residual->residual.lease();
  return static_cast<double>(lease.seconds()) + 1e-9 * lease.nanos();
}
void actserve_residual_free(actserve_residual* residual) { delete residual; }
actserve_status* actserve_release(actserve_client* client,
                                  const actserve_residual* const* residuals,
                                  size_t num_residuals, size_t* num_released) {
  if (residuals == nullptr && num_residuals > 0) {
    return ToStatus(Missing("residuals"));
  }
  std::vector<std::string> handles;
  for (size_t i = 0; i < num_residuals; ++i) {
    if (residuals[i] == nullptr) return ToStatus(Missing("residuals: one"));
    handles.push_back(residuals[i]->residual.handle());
  }
  const auto released = client->client->ReleaseResiduals(handles);
  if (!released.ok()) return ToStatus(released.status());
  if (num_released != nullptr) *num_released = *released;
  return nullptr;
}

actserve_status* actserve_backward(actserve_client* client,
                                   const char* activation,
                                   const actserve_backward_call* call,
                                   const actserve_call_options* options) {
  return ToStatus(Backward(*client, activation, call, options));
}
