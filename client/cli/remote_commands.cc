// The commands that ask a server.

#include <algorithm>
#include <iostream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/array.h"
#include "client/cli/commands.h"
#include "client/cli/describe.h"
#include "client/cli/text_file.h"
#include "client/cpp/client.h"

namespace actserve {
namespace {

bool IsNpy(const std::string& text) { return absl::EndsWith(text, ".npy"); }

// Registers what `flags` name, printing what the server remarks.
absl::StatusOr<v1::Activation> Teach(Client& client, const TextFlags& flags) {
  const auto request = ToRequest(flags);
  if (!request.ok()) return request.status();
  auto response = client.Register(*request);
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
  if (!IsTextFile(activation)) return client.Get(activation);
  TextFlags flags;
  flags.file = activation;
  return Teach(client, flags);
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
    const auto named = ParseDType(flags.dtype);
    if (!named.ok()) return named.status();
    dtype = *named;
  }
  if (!flags.numbers.empty() && !flags.inputs.empty()) {
    return absl::InvalidArgumentError(
        "give the input as numbers or with --input, not both");
  }
  std::vector<Array> arrays;
  if (flags.inputs.empty()) {
    auto array = ParseArray(flags.numbers, dtype.value_or(v1::DTYPE_FLOAT32));
    if (!array.ok()) return array.status();
    arrays.push_back(*std::move(array));
  }
  // Files first: they know their dtype, numbers take it.
  arrays.resize(std::max<size_t>(1, flags.inputs.size()));
  for (const bool files : {true, false}) {
    for (size_t i = 0; i < flags.inputs.size(); ++i) {
      if (IsNpy(flags.inputs[i]) != files) continue;
      auto array = ReadArray(flags.inputs[i], dtype);
      if (!array.ok()) return array.status();
      if (files && !dtype) dtype = array->dtype;
      arrays[i] = *std::move(array);
    }
  }
  return arrays;
}

std::vector<TensorView> Views(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  views.reserve(arrays.size());
  for (const Array& array : arrays) views.push_back(array.View());
  return views;
}

// Where --output says that `name` goes; empty: to standard output.
std::string OutputFile(const std::vector<std::string>& outputs,
                       const std::string& name, bool is_only_one) {
  for (const std::string& output : outputs) {
    if (absl::StartsWith(output, absl::StrCat(name, "="))) {
      return output.substr(name.size() + 1);
    }
    if (is_only_one && !absl::StrContains(output, '=')) return output;
  }
  return "";
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

}  // namespace

absl::Status Register(const ServerFlags& server, const TextFlags& text) {
  auto client = ConnectTo(server);
  if (!client.ok()) return client.status();
  const auto activation = Teach(**client, text);
  if (!activation.ok()) return activation.status();
  std::cout << activation->id() << "\n";
  return absl::OkStatus();
}

absl::Status Forward(const ServerFlags& server, const EvaluateFlags& flags) {
  std::optional<v1::DType> dtype;
  const auto inputs = ReadInputs(flags, dtype);
  if (!inputs.ok()) return inputs.status();
  auto client = ConnectTo(server);
  if (!client.ok()) return client.status();
  std::string id = flags.activation;
  if (IsTextFile(id)) {
    const auto activation = Find(**client, id);
    if (!activation.ok()) return activation.status();
    id = activation->id();
  }
  Array output = (*inputs)[0].Like();
  CallOptions options;
  options.parameters = flags.parameters;
  absl::Status status =
      (*client)->Forward(id, Views(*inputs), output.MutableBytes(), options);
  if (!status.ok()) return status;
  return Deliver(output, OutputFile(flags.outputs, "y", true), "");
}

absl::Status Backward(const ServerFlags& server, const EvaluateFlags& flags) {
  std::optional<v1::DType> dtype;
  const auto inputs = ReadInputs(flags, dtype);
  if (!inputs.ok()) return inputs.status();
  absl::StatusOr<Array> grad_output = Array();
  if (!flags.grad_output.empty()) {
    grad_output = ReadArray(flags.grad_output, (*inputs)[0].dtype);
    if (!grad_output.ok()) return grad_output.status();
    // Numbers have no shape of their own.
    if (!IsNpy(flags.grad_output) &&
        grad_output->num_elements() == (*inputs)[0].num_elements()) {
      grad_output->shape = (*inputs)[0].shape;
    }
  }
  auto client = ConnectTo(server);
  if (!client.ok()) return client.status();
  const auto activation = Find(**client, flags.activation);
  if (!activation.ok()) return activation.status();
  std::vector<std::string> wrt = flags.wrt;
  if (wrt.empty()) {
    wrt.assign(activation->inputs().begin(), activation->inputs().end());
  }

  BackwardCall call;
  call.activation = activation->id();
  call.inputs = Views(*inputs);
  if (!flags.grad_output.empty()) call.grad_output = grad_output->View();
  call.options.parameters = flags.parameters;
  const auto is_input = [&](const std::string& name) {
    return std::count(activation->inputs().begin(), activation->inputs().end(),
                      name) > 0;
  };
  std::vector<Array> gradients(wrt.size());
  for (size_t i = 0; i < wrt.size(); ++i) {
    gradients[i] = (*inputs)[0].Like();
    call.wrt.push_back({wrt[i], is_input(wrt[i]) ? gradients[i].MutableBytes()
                                                 : absl::Span<std::byte>()});
  }
  const auto result = (*client)->Backward(call);
  if (!result.ok()) return result.status();

  for (size_t i = 0; i < wrt.size(); ++i) {
    const std::string title = wrt.size() > 1 ? wrt[i] : "";
    Array& gradient = gradients[i];
    if (!is_input(wrt[i])) {
      const double value = result->parameter_gradients.at(wrt[i]);
      gradient = {v1::DTYPE_FLOAT64, {}, std::string(sizeof(value), '\0')};
      std::copy_n(reinterpret_cast<const char*>(&value), sizeof(value),
                  gradient.bytes.begin());
    }
    const absl::Status status = Deliver(
        gradient, OutputFile(flags.outputs, wrt[i], wrt.size() == 1), title);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Health(const ServerFlags& server) {
  auto client = ConnectTo(server);
  if (!client.ok()) return client.status();
  absl::Status health = (*client)->Health();
  if (!health.ok()) return health;
  const auto info = (*client)->ServerInfo();
  if (!info.ok()) return info.status();
  std::cout << "serving at " << (*client)->address() << ", actserved "
            << info->version() << "\n";
  for (const v1::DeviceInfo& device : info->devices()) {
    std::cout << device.name() << ": " << device.description() << "\n";
    if (!device.reason().empty()) {
      std::cout << "  chosen: " << device.reason() << "\n";
    }
    const v1::DeviceCounters& counters = device.counters();
    const int64_t num_queued = counters.num_queued_requests();
    std::cout << "  requests: " << counters.num_inline_requests()
              << " at once, " << num_queued << " in " << counters.num_batches()
              << " batches, " << counters.num_refused() << " refused\n";
  }
  return absl::OkStatus();
}

}  // namespace actserve
