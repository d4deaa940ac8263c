// The commands that ask a server.

#include <algorithm>
#include <deque>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/describe.h"
#include "client/cli/npy.h"
#include "client/cli/text_file.h"
#include "client/cpp/client.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

bool IsNpy(const std::string& text) { return absl::EndsWith(text, ".npy"); }

// Registers the text that `flags` name, and prints the server's remarks on it.
absl::StatusOr<v1::Activation> RegisterText(Client& client,
                                            const TextFlags& flags) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto request, ToRequest(flags));
  auto response = client.RegisterActivation(request);
  if (!response.ok()) {
    if (ErrorDiagnostics(response.status()).empty()) return response.status();
    std::cerr << response.status().message() << "\n";
    return DoesNotCompile(flags.file);
  }
  for (const v1::Diagnostic& diagnostic : response->diagnostics()) {
    std::cerr << flags.file << ":" << diagnostic.line() << ":"
              << diagnostic.column() << ": " << diagnostic.message() << "\n";
  }
  return std::move(*response->mutable_activation());
}

absl::StatusOr<v1::Activation> Find(Client& client,
                                    const std::string& activation) {
  if (!IsTextFile(activation)) return client.GetActivation(activation);
  TextFlags flags;
  flags.file = activation;
  return RegisterText(client, flags);
}

// `text` as an argument of --input or --grad_output.
absl::StatusOr<Array> ReadArray(const std::string& text,
                                std::optional<v1::DType> dtype) {
  if (IsNpy(text)) return ReadNpy(text, dtype);
  return ParseArray(absl::StrSplit(text, ','),
                    dtype.value_or(v1::DTYPE_FLOAT32));
}

absl::StatusOr<std::vector<Array>> ReadInputs(const EvaluateFlags& flags,
                                              std::optional<v1::DType>& dtype) {
  if (!flags.dtype.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(dtype, ParseDType(flags.dtype));
  }
  if (!flags.numbers.empty() && !flags.inputs.empty()) {
    return absl::InvalidArgumentError(
        "give the input as numbers or with --input, not both");
  }
  if (flags.numbers.empty() && flags.inputs.empty()) {
    return absl::InvalidArgumentError(
        "no input: give numbers, or --input once for each input");
  }
  std::vector<Array> arrays;
  if (flags.inputs.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(
        arrays.emplace_back(),
        ParseArray(flags.numbers, dtype.value_or(v1::DTYPE_FLOAT32)));
  }
  // Files first: they know their dtype, numbers take it.
  arrays.resize(std::max<size_t>(1, flags.inputs.size()));
  for (const bool files : {true, false}) {
    for (size_t i = 0; i < flags.inputs.size(); ++i) {
      if (IsNpy(flags.inputs[i]) != files) continue;
      ACTSERVE_ASSIGN_OR_RETURN(arrays[i], ReadArray(flags.inputs[i], dtype));
      if (files && !dtype) dtype = arrays[i].dtype;
    }
  }
  return arrays;
}

// `text` as an argument of --grad_output: numbers have no shape of their own,
// and take that of `like` if they are as many.
absl::StatusOr<Array> ReadArrayLike(const std::string& text,
                                    const Array& like) {
  ACTSERVE_ASSIGN_OR_RETURN(Array array, ReadArray(text, like.dtype));
  if (!IsNpy(text) && array.num_elements() == like.num_elements()) {
    array.shape = like.shape;
  }
  return array;
}

bool IsInput(const v1::Activation& activation, const std::string& name) {
  if (name == kAllInputsName) return true;
  return absl::c_linear_search(activation.inputs(), name);
}

// "'y' is not one of x, slope", which are what `activation` has.
absl::Status CheckName(absl::string_view flag, const std::string& name,
                       const v1::Activation& activation) {
  if (IsInput(activation, name)) return absl::OkStatus();
  std::vector<std::string> known(activation.inputs().begin(),
                                 activation.inputs().end());
  for (const v1::ParameterSpec& parameter : activation.parameters()) {
    known.push_back(parameter.name());
  }
  if (absl::c_linear_search(known, name)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flag, ": '", name, "' is not one of ", absl::StrJoin(known, ", ")));
}

// "NAME=VALUE" in two; both are there.
absl::StatusOr<std::pair<std::string, std::string>> SplitAssignment(
    absl::string_view flag, const std::string& argument) {
  std::pair<std::string, std::string> parts =
      absl::StrSplit(argument, absl::MaxSplits('=', 1));
  if (parts.first.empty() || parts.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " '", argument, "' is not NAME=VALUE"));
  }
  return parts;
}

// The one of `inputs` that has the shape of the result, if they broadcast.
const Array& ResultLike(const std::vector<Array>& inputs) {
  const Array* largest = &inputs[0];
  for (const Array& input : inputs) {
    const int64_t count = input.num_elements();
    if (count == 0) return input;
    if (count > largest->num_elements()) largest = &input;
  }
  return *largest;
}

// Zeros like `name`, and so like its gradient: an input, all of them, or a
// parameter. nullopt for a parameter that is a number.
std::optional<Array> ZerosLike(const std::string& name,
                               const v1::Activation& activation,
                               const std::vector<Array>& inputs,
                               const CallOptions& options) {
  const auto tensor = options.parameter_tensors.find(name);
  if (tensor != options.parameter_tensors.end()) {
    const TensorView& like = tensor->second.tensor;
    return Array{like.dtype,
                 {like.shape.begin(), like.shape.end()},
                 std::string(like.bytes.size(), '\0')};
  }
  if (name == kAllInputsName) return inputs[0].Like();
  const auto input = absl::c_find(activation.inputs(), name);
  if (input == activation.inputs().end()) return std::nullopt;
  // The server refuses a call with too few inputs.
  const size_t index = input - activation.inputs().begin();
  return index < inputs.size() ? inputs[index].Like()
                               : ResultLike(inputs).Like();
}

// The arguments of --tangent or --cotangent, which `flag` names. The views are
// into `arrays`.
absl::StatusOr<std::vector<NamedValue>> ReadValues(
    absl::string_view flag, const std::vector<std::string>& arguments,
    const v1::Activation& activation, const std::vector<Array>& inputs,
    const CallOptions& options, std::deque<Array>& arrays) {
  std::vector<NamedValue> values;
  for (const std::string& argument : arguments) {
    ACTSERVE_ASSIGN_OR_RETURN(const auto parts,
                              SplitAssignment(flag, argument));
    const auto& [name, text] = parts;
    ACTSERVE_RETURN_IF_ERROR(CheckName(flag, name, activation));
    NamedValue& value = values.emplace_back();
    value.name = name;
    if (const auto like = ZerosLike(name, activation, inputs, options)) {
      ACTSERVE_ASSIGN_OR_RETURN(arrays.emplace_back(),
                                ReadArrayLike(text, *like));
      value.tensor = arrays.back().View();
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(value.scalar, ParseNumber(text));
    }
  }
  return values;
}

// The options that `flags` say, for inputs of the type of `like`. The views are
// into `arrays`.
absl::StatusOr<CallOptions> OptionsOf(const EvaluateFlags& flags,
                                      const Array& like,
                                      std::deque<Array>& arrays) {
  constexpr absl::string_view kFlag = "--parameter_tensor";
  CallOptions options;
  options.parameters = flags.parameters;
  options.axis = flags.axis;
  options.split_axis = flags.split_axis;
  options.element_offset = flags.element_offset;
  for (const std::string& argument : flags.parameter_tensors) {
    ACTSERVE_ASSIGN_OR_RETURN(const auto parts,
                              SplitAssignment(kFlag, argument));
    const auto& [name, text] = parts;
    const size_t at = text.rfind('@');
    int axis = 0;
    if (at == std::string::npos ||
        !absl::SimpleAtoi(text.substr(at + 1), &axis)) {
      return absl::InvalidArgumentError(absl::StrCat(
          kFlag, " '", argument, "' does not end in @AXIS, such as @1"));
    }
    ACTSERVE_ASSIGN_OR_RETURN(arrays.emplace_back(),
                              ReadArray(text.substr(0, at), like.dtype));
    const bool is_new =
        options.parameter_tensors
            .emplace(name, ParameterTensor{arrays.back().View(), axis})
            .second;
    if (!is_new || flags.parameters.contains(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(kFlag, ": ", name, " is given twice"));
    }
  }
  return options;
}

// Zeros of the shape of the result. What does not fit, the server refuses.
Array Result(const std::vector<Array>& inputs, const EvaluateFlags& flags,
             const v1::Activation& activation) {
  Array result = ResultLike(inputs).Like();
  if (!flags.split_axis) return result;
  const auto rank = static_cast<int>(result.shape.size());
  const int axis = *flags.split_axis + (*flags.split_axis < 0 ? rank : 0);
  const int num_parts = activation.inputs_size();
  if (axis < 0 || axis >= rank || result.shape[axis] % num_parts != 0) {
    return result;
  }
  result.shape[axis] /= num_parts;
  result.bytes.resize(result.bytes.size() / num_parts);
  return result;
}

std::vector<TensorView> Views(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  views.reserve(arrays.size());
  for (const Array& array : arrays) views.push_back(array.View());
  return views;
}

// Checks that each --output is for one of `names`.
absl::Status CheckOutputs(const std::vector<std::string>& outputs,
                          const std::vector<std::string>& names) {
  for (const std::string& output : outputs) {
    const size_t equals = output.find('=');
    if (equals == std::string::npos
            ? names.size() == 1
            : absl::c_linear_search(names, output.substr(0, equals))) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--output ", output, ": say NAME=FILE.npy, with one of ",
                     absl::StrJoin(names, ", ")));
  }
  return absl::OkStatus();
}

// Where --output says that `name` goes; empty: to standard output.
std::string OutputFile(const std::vector<std::string>& outputs,
                       const std::string& name) {
  for (const std::string& output : outputs) {
    const size_t equals = output.find('=');
    if (equals == std::string::npos) return output;
    if (output.substr(0, equals) == name) return output.substr(equals + 1);
  }
  return "";
}

Array ScalarArray(double value) {
  return {v1::DTYPE_FLOAT64,
          {},
          std::string(reinterpret_cast<const char*>(&value), sizeof(value))};
}

absl::Status Deliver(const Array& array, const std::string& file,
                     const std::string& title) {
  if (!file.empty()) return WriteNpy(file, array);
  if (!title.empty()) {
    std::cout << title << ":" << (array.shape.size() > 1 ? "\n" : " ");
  }
  std::cout << ArrayText(array) << "\n";
  return absl::OkStatus();
}

absl::Status ForwardWithTangents(Client& client,
                                 const std::vector<Array>& inputs,
                                 const EvaluateFlags& flags) {
  ACTSERVE_RETURN_IF_ERROR(CheckOutputs(flags.outputs, {"y", "tangent"}));
  ACTSERVE_ASSIGN_OR_RETURN(const auto activation,
                            Find(client, flags.activation));
  Array output = Result(inputs, flags, activation);
  Array tangent = output.Like();
  std::deque<Array> arrays;
  ForwardCall call;
  call.activation = activation.id();
  call.inputs = Views(inputs);
  call.output = output.MutableBytes();
  ACTSERVE_ASSIGN_OR_RETURN(call.options, OptionsOf(flags, inputs[0], arrays));
  ACTSERVE_ASSIGN_OR_RETURN(
      call.tangents, ReadValues("--tangent", flags.tangents, activation, inputs,
                                call.options, arrays));
  call.tangent = tangent.MutableBytes();
  ACTSERVE_RETURN_IF_ERROR(client.ForwardWith(call).status());
  ACTSERVE_RETURN_IF_ERROR(
      Deliver(output, OutputFile(flags.outputs, "y"), "y"));
  return Deliver(tangent, OutputFile(flags.outputs, "tangent"), "tangent");
}

// Prints a line for each replica. OK if all of them serve.
absl::Status DeliverHealth(const std::vector<ReplicaHealth>& replicas) {
  size_t num_serving = 0;
  for (const ReplicaHealth& replica : replicas) {
    std::cout << replica.address << ": ";
    if (replica.status.ok()) {
      ++num_serving;
      std::cout << "serving\n";
    } else {
      std::cout << absl::StatusCodeToString(replica.status.code()) << ": "
                << replica.status.message() << "\n";
    }
  }
  if (num_serving == replicas.size()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      num_serving, " of ", replicas.size(), " replicas are serving"));
}

}  // namespace

absl::Status Register(const ServerFlags& server, const TextFlags& text) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto client, ConnectTo(server));
  ACTSERVE_ASSIGN_OR_RETURN(const auto activation, RegisterText(*client, text));
  std::cout << activation.id() << "\n";
  return absl::OkStatus();
}

absl::Status Forward(const ServerFlags& server, const EvaluateFlags& flags) {
  std::optional<v1::DType> dtype;
  ACTSERVE_ASSIGN_OR_RETURN(const auto inputs, ReadInputs(flags, dtype));
  ACTSERVE_ASSIGN_OR_RETURN(const auto client,
                            ConnectTo(server, Needs::kAnyEngine));
  if (!flags.tangents.empty()) {
    return ForwardWithTangents(*client, inputs, flags);
  }
  ACTSERVE_RETURN_IF_ERROR(CheckOutputs(flags.outputs, {"y"}));
  std::string id = flags.activation;
  v1::Activation activation;
  if (IsTextFile(id) || flags.split_axis) {
    ACTSERVE_ASSIGN_OR_RETURN(activation, Find(*client, id));
    id = activation.id();
  }
  Array output = Result(inputs, flags, activation);
  std::deque<Array> arrays;
  ACTSERVE_ASSIGN_OR_RETURN(const CallOptions options,
                            OptionsOf(flags, inputs[0], arrays));
  ACTSERVE_RETURN_IF_ERROR(
      client->Forward(id, Views(inputs), output.MutableBytes(), options));
  return Deliver(output, OutputFile(flags.outputs, "y"), "");
}

absl::Status Backward(const ServerFlags& server, const EvaluateFlags& flags) {
  std::optional<v1::DType> dtype;
  ACTSERVE_ASSIGN_OR_RETURN(const auto inputs, ReadInputs(flags, dtype));
  ACTSERVE_ASSIGN_OR_RETURN(const auto client,
                            ConnectTo(server, Needs::kAnyEngine));
  ACTSERVE_ASSIGN_OR_RETURN(const auto activation,
                            Find(*client, flags.activation));
  const Array result = Result(inputs, flags, activation);
  Array grad_output;
  if (!flags.grad_output.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(grad_output,
                              ReadArrayLike(flags.grad_output, result));
  }
  std::vector<std::string> wrt = flags.wrt;
  if (wrt.empty() && flags.split_axis) wrt = {kAllInputsName};
  if (wrt.empty()) {
    wrt.assign(activation.inputs().begin(), activation.inputs().end());
  }
  ACTSERVE_RETURN_IF_ERROR(CheckOutputs(flags.outputs, wrt));

  BackwardCall call;
  call.activation = activation.id();
  call.inputs = Views(inputs);
  if (!flags.grad_output.empty()) call.grad_output = grad_output.View();
  std::deque<Array> arrays;
  ACTSERVE_ASSIGN_OR_RETURN(call.options, OptionsOf(flags, inputs[0], arrays));
  call.order = flags.order;
  ACTSERVE_ASSIGN_OR_RETURN(
      call.cotangents, ReadValues("--cotangent", flags.cotangents, activation,
                                  inputs, call.options, arrays));
  std::vector<Array> gradients(wrt.size());
  for (size_t i = 0; i < wrt.size(); ++i) {
    auto zeros = wrt[i] == kGradOutputName
                     ? result
                     : ZerosLike(wrt[i], activation, inputs, call.options);
    const bool is_tensor = zeros.has_value();
    if (is_tensor) gradients[i] = *std::move(zeros);
    call.wrt.push_back({wrt[i], is_tensor ? gradients[i].MutableBytes()
                                          : absl::Span<std::byte>()});
  }
  ACTSERVE_ASSIGN_OR_RETURN(const BackwardResult response,
                            client->Backward(call));

  for (size_t i = 0; i < wrt.size(); ++i) {
    const auto parameter = response.parameter_gradients.find(wrt[i]);
    if (parameter != response.parameter_gradients.end()) {
      gradients[i] = ScalarArray(parameter->second);
    }
    ACTSERVE_RETURN_IF_ERROR(Deliver(gradients[i],
                                     OutputFile(flags.outputs, wrt[i]),
                                     wrt.size() > 1 ? wrt[i] : ""));
  }
  return absl::OkStatus();
}

absl::Status Health(const ServerFlags& server) {
  ACTSERVE_ASSIGN_OR_RETURN(const auto client, ConnectTo(server));
  ACTSERVE_ASSIGN_OR_RETURN(const auto replicas, client->HealthOfReplicas());
  if (replicas.size() != 1) return DeliverHealth(replicas);
  ACTSERVE_RETURN_IF_ERROR(replicas[0].status);
  const auto info = client->GetServerInfo();
  // A health check needs no token.
  if (absl::IsUnauthenticated(info.status()) ||
      absl::IsPermissionDenied(info.status())) {
    std::cout << "serving at " << client->address() << "\n";
    return absl::OkStatus();
  }
  ACTSERVE_RETURN_IF_ERROR(info.status());
  std::cout << "serving at " << client->address() << ", actserved "
            << info->version() << "\n";
  for (const v1::DeviceInfo& device : info->devices()) {
    std::cout << device.name() << ": " << device.description() << "\n";
    if (!device.reason().empty()) {
      std::cout << "  chosen: " << device.reason() << "\n";
    }
    const v1::DeviceCounters& counters = device.counters();
    std::cout << "  requests: " << counters.num_inline_requests()
              << " at once, " << counters.num_queued_requests() << " in "
              << counters.num_batches() << " batches, "
              << counters.num_refused() << " refused\n";
  }
  return absl::OkStatus();
}

}  // namespace actserve
