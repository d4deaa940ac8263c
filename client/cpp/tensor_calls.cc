#include "client/cpp/tensor_calls.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

absl::Status CheckTensor(const TensorView& tensor, absl::string_view what) {
  const int64_t item_size_bytes = ItemSizeBytes(tensor.dtype);
  if (item_size_bytes == 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has no dtype"));
  }
  int64_t size_bytes = item_size_bytes;
  bool overflow = false;
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": shape [", absl::StrJoin(tensor.shape, ", "),
                       "]: a dimension is negative"));
    }
    overflow |= __builtin_mul_overflow(size_bytes, dimension, &size_bytes);
  }
  if (overflow || static_cast<uint64_t>(size_bytes) != tensor.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", tensor.bytes.size(), " bytes do not match shape [",
        absl::StrJoin(tensor.shape, ", "), "] of ", item_size_bytes,
        "-byte elements"));
  }
  return absl::OkStatus();
}

absl::Status CheckParameters(const CallOptions& options) {
  for (const auto& [name, value] : options.parameter_tensors) {
    ACTSERVE_RETURN_IF_ERROR(
        CheckTensor(value.tensor, absl::StrCat("parameter ", name)));
  }
  return absl::OkStatus();
}

// Of the shape that `inputs`, at least one, broadcast to.
size_t ResultBytes(absl::Span<const TensorView> inputs) {
  size_t most = 0;
  for (const TensorView& input : inputs) {
    if (input.bytes.empty()) return 0;
    most = std::max(most, input.bytes.size());
  }
  return most;
}

// Of y, which `output` receives. How many parts split_axis makes is known to
// the server alone.
absl::Status CheckResult(absl::Span<const TensorView> inputs,
                         absl::Span<std::byte> output,
                         const CallOptions& options) {
  const size_t want_bytes = ResultBytes(inputs);
  if (!options.split_axis) {
    return CheckOutput(output, "the output", want_bytes);
  }
  if (output.empty() ? want_bytes == 0 : want_bytes % output.size() == 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("room for the output: ", output.size(),
                   " bytes, no equal part of the ", want_bytes, " of input 0"));
}

absl::Status CheckInputs(absl::Span<const TensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    absl::Status status = CheckTensor(inputs[i], "");
    if (!status.ok()) return CheckTensor(inputs[i], absl::StrCat("input ", i));
  }
  return absl::OkStatus();
}

// Printable ASCII, as gRPC asks of a header.
absl::Status CheckHeader(absl::string_view name, absl::string_view value) {
  for (const char c : value) {
    if (c < ' ' || c > '~') {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": byte ", static_cast<uint8_t>(c), " is not printable ASCII"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTrace(const CallOptions& options) {
  ACTSERVE_RETURN_IF_ERROR(CheckHeader("traceparent", options.traceparent));
  return CheckHeader("tracestate", options.tracestate);
}

// Makes the tensors of a call narrow; remembers the first error.
class Narrowing {
 public:
  Narrowing(v1::DType dtype, NarrowTensors& tensors)
      : dtype_(dtype), tensors_(tensors) {}

  void Input(absl::string_view what, TensorView& tensor) {
    status_.Update(CheckTensor(tensor, what));
    if (tensor.dtype != v1::DTYPE_FLOAT32) {
      status_.Update(absl::InvalidArgumentError(
          absl::StrCat("wire_dtype: ", what, " is ",
                       v1::DType_Name(tensor.dtype), ", not float32")));
    }
    if (!status_.ok()) return;
    tensor.dtype = dtype_;
    tensor.bytes = tensors_.Narrow(tensor.bytes);
  }
  void Values(absl::string_view what, std::vector<NamedValue>& values) {
    for (NamedValue& value : values) {
      if (value.tensor) {
        Input(absl::StrCat(what, ": ", value.name), *value.tensor);
      }
    }
  }
  void Options(CallOptions& options) {
    for (auto& [name, value] : options.parameter_tensors) {
      Input(absl::StrCat("parameter ", name), value.tensor);
    }
    options.wire_dtype = v1::DTYPE_UNSPECIFIED;
  }
  void Output(absl::string_view what, absl::Span<std::byte>& output) {
    if (output.size() % sizeof(float) != 0) {
      status_.Update(absl::InvalidArgumentError(absl::StrCat(
          "room for ", what, ": ", output.size(), " bytes, not of float32")));
    }
    // A gradient that is a number has no memory.
    if (status_.ok() && output.data() != nullptr) {
      output = tensors_.RoomFor(output);
    }
  }
  void Refuse(bool condition, absl::string_view what) {
    if (!condition) return;
    status_.Update(absl::InvalidArgumentError(
        absl::StrCat("wire_dtype: given together with ", what)));
  }
  const absl::Status& status() const { return status_; }

 private:
  const v1::DType dtype_;
  NarrowTensors& tensors_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<NarrowTensors::Type> NarrowTypeOf(const CallOptions& options) {
  switch (options.wire_dtype) {
    case v1::DTYPE_FLOAT16:
      return NarrowTensors::Type::kFloat16;
    case v1::DTYPE_BFLOAT16:
      return NarrowTensors::Type::kBFloat16;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("wire_dtype: ", v1::DType_Name(options.wire_dtype),
                       ", must be DTYPE_FLOAT16 or DTYPE_BFLOAT16"));
  }
}

absl::StatusOr<ForwardCall> Narrow(ForwardCall call, NarrowTensors& tensors) {
  Narrowing narrowing(call.options.wire_dtype, tensors);
  narrowing.Refuse(call.keep_residual, "keep_residual");
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    narrowing.Input(absl::StrCat("input ", i), call.inputs[i]);
  }
  narrowing.Values("tangents", call.tangents);
  narrowing.Options(call.options);
  narrowing.Output("the output", call.output);
  for (ForwardCall::Partial& partial : call.partials) {
    narrowing.Output(absl::StrCat("the partial ", partial.input),
                     partial.output);
  }
  if (!call.tangents.empty()) narrowing.Output("the tangent", call.tangent);
  if (!narrowing.status().ok()) return narrowing.status();
  return call;
}

absl::StatusOr<BackwardCall> Narrow(BackwardCall call, NarrowTensors& tensors) {
  Narrowing narrowing(call.options.wire_dtype, tensors);
  narrowing.Refuse(!call.residual.empty(), "a residual");
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    narrowing.Input(absl::StrCat("input ", i), call.inputs[i]);
  }
  if (call.grad_output) narrowing.Input("grad_output", *call.grad_output);
  narrowing.Values("cotangents", call.cotangents);
  narrowing.Options(call.options);
  for (BackwardCall::Gradient& gradient : call.wrt) {
    narrowing.Output(absl::StrCat("the gradient ", gradient.name),
                     gradient.output);
  }
  if (!narrowing.status().ok()) return narrowing.status();
  return call;
}

TensorView View(absl::Span<const float> elements, std::vector<int64_t> shape) {
  return {v1::DTYPE_FLOAT32,
          std::move(shape),
          {reinterpret_cast<const std::byte*>(elements.data()),
           elements.size() * sizeof(float)}};
}

TensorView View(absl::Span<const double> elements, std::vector<int64_t> shape) {
  return {v1::DTYPE_FLOAT64,
          std::move(shape),
          {reinterpret_cast<const std::byte*>(elements.data()),
           elements.size() * sizeof(double)}};
}

TensorView View(absl::Span<const float> elements) {
  return View(elements, {static_cast<int64_t>(elements.size())});
}

TensorView View(absl::Span<const double> elements) {
  return View(elements, {static_cast<int64_t>(elements.size())});
}

absl::Status CheckOutput(absl::Span<std::byte> output, absl::string_view what,
                         size_t want_bytes) {
  if (output.size() == want_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("room for ", what, ": ", output.size(),
                   " bytes, but it has ", want_bytes));
}

absl::Status CheckValues(const std::vector<NamedValue>& values,
                         absl::string_view what) {
  for (const NamedValue& value : values) {
    if (!value.tensor) continue;
    ACTSERVE_RETURN_IF_ERROR(
        CheckTensor(*value.tensor, absl::StrCat(what, ": ", value.name)));
  }
  return absl::OkStatus();
}

void SetTensor(const TensorView& view, v1::Tensor& tensor) {
  tensor.set_dtype(view.dtype);
  tensor.mutable_shape()->Add(view.shape.begin(), view.shape.end());
}

void SetValues(const std::vector<NamedValue>& values,
               google::protobuf::RepeatedPtrField<v1::NamedValue>& to,
               Payloads& payloads) {
  for (const NamedValue& value : values) {
    v1::NamedValue& message = *to.Add();
    message.set_name(value.name);
    if (value.tensor) {
      SetTensor(*value.tensor, *message.mutable_tensor());
      payloads.push_back(value.tensor->bytes);
    } else {
      message.set_scalar(value.scalar);
    }
  }
}

void SetParameters(
    const CallOptions& options,
    google::protobuf::RepeatedPtrField<v1::ParameterValue>& parameters,
    Payloads& payloads) {
  for (const auto& [name, value] : options.parameters) {
    v1::ParameterValue& parameter = *parameters.Add();
    parameter.set_name(name);
    parameter.set_scalar(value);
  }
  for (const auto& [name, value] : options.parameter_tensors) {
    v1::ParameterValue& parameter = *parameters.Add();
    parameter.set_name(name);
    SetTensor(value.tensor, *parameter.mutable_tensor()->mutable_tensor());
    parameter.mutable_tensor()->set_axis(value.axis);
    payloads.push_back(value.tensor.bytes);
  }
}

absl::Status MakeForward(std::string_view activation,
                         absl::Span<const TensorView> inputs,
                         absl::Span<std::byte> output,
                         const CallOptions& options,
                         v1::ForwardRequest& request, Payloads& payloads) {
  if (inputs.empty()) return absl::InvalidArgumentError("no inputs");
  absl::Status status = CheckTrace(options);
  status.Update(CheckInputs(inputs));
  status.Update(CheckParameters(options));
  status.Update(CheckResult(inputs, output, options));
  if (!status.ok()) return status;
  request.set_activation(activation.data(), activation.size());
  for (const TensorView& input : inputs) {
    SetTensor(input, *request.add_inputs());
    payloads.push_back(input.bytes);
  }
  SetParameters(options, *request.mutable_parameters(), payloads);
  if (options.axis) request.set_axis(*options.axis);
  if (options.split_axis) request.set_split_axis(*options.split_axis);
  request.set_element_offset(options.element_offset);
  return absl::OkStatus();
}

absl::Status CheckBackward(const BackwardCall& call) {
  if (call.inputs.empty() && call.residual.empty()) {
    return absl::InvalidArgumentError("neither inputs nor a residual");
  }
  if (call.wrt.empty()) {
    return absl::InvalidArgumentError("no gradient is asked for");
  }
  absl::Status status = CheckTrace(call.options);
  status.Update(CheckInputs(call.inputs));
  status.Update(CheckValues(call.cotangents, "cotangents"));
  status.Update(CheckParameters(call.options));
  // Where inputs broadcast, the reply says what each gradient has.
  const bool one_size = std::all_of(
      call.inputs.begin(), call.inputs.end(), [&](const TensorView& input) {
        return input.bytes.size() == call.inputs[0].bytes.size();
      });
  const TensorView* like = nullptr;
  if (call.grad_output) {
    status.Update(CheckTensor(*call.grad_output, "grad_output"));
    like = &*call.grad_output;
  }
  if (!call.inputs.empty()) like = one_size ? &call.inputs[0] : nullptr;
  for (const BackwardCall::Gradient& gradient : call.wrt) {
    const auto tensor = call.options.parameter_tensors.find(gradient.name);
    const TensorView* of = tensor == call.options.parameter_tensors.end()
                               ? like
                               : &tensor->second.tensor;
    if (gradient.name == kAllInputsName && call.inputs.empty()) of = nullptr;
    if (gradient.name == kGradOutputName && call.options.split_axis) {
      of = call.grad_output ? &*call.grad_output : nullptr;
    }
    if (gradient.output.empty() || of == nullptr) continue;
    status.Update(CheckOutput(gradient.output,
                              absl::StrCat("the gradient ", gradient.name),
                              of->bytes.size()));
  }
  return status;
}

absl::StatusOr<BackwardResult> TakeGradients(
    const BackwardCall& call, Answer<v1::BackwardResponse>& answer) {
  v1::BackwardResponse& response = answer.metadata;
  if (static_cast<size_t>(response.gradients_size()) != call.wrt.size()) {
    return absl::InternalError(
        absl::StrCat("malformed reply: ", response.gradients_size(),
                     " gradients, expected ", call.wrt.size()));
  }
  BackwardResult result;
  std::vector<absl::Span<std::byte>> outputs;
  for (size_t i = 0; i < call.wrt.size(); ++i) {
    const v1::Gradient& gradient = response.gradients(i);
    if (gradient.name() != call.wrt[i].name) {
      return absl::InternalError(absl::StrCat("malformed reply: gradient ", i,
                                              " is ", gradient.name(),
                                              ", expected ", call.wrt[i].name));
    }
    if (gradient.has_tensor()) {
      outputs.push_back(call.wrt[i].output);
    } else {
      result.parameter_gradients[gradient.name()] = gradient.scalar();
    }
  }
  ACTSERVE_RETURN_IF_ERROR(Deliver(answer.payloads, outputs));
  result.activation_id = std::move(*response.mutable_activation_id());
  result.program_id = std::move(*response.mutable_program_id());
  result.device = std::move(*response.mutable_device());
  result.timings = std::move(*response.mutable_timings());
  return result;
}

absl::StatusOr<EncodedReply> TakeEncoded(
    std::vector<grpc::Slice> slices,
    absl::Span<const absl::Span<std::byte>> outputs) {
  // The payloads of a server's reply lie in pieces, and go where they are
  // wanted.
  struct Memory {
    std::vector<grpc::Slice> slices;
    std::vector<std::vector<std::byte>> joined;
  };
  const auto memory = std::make_shared<Memory>();
  memory->slices = std::move(slices);
  ACTSERVE_ASSIGN_OR_RETURN(SplitResponse split, Split(Spans(memory->slices)));
  EncodedReply reply;
  reply.header = std::move(split.metadata);
  reply.memory = memory;
  const bool fit =
      std::equal(split.payloads.begin(), split.payloads.end(), outputs.begin(),
                 outputs.end(), [](const auto& payload, const auto& output) {
                   return payload.size_bytes == output.size();
                 });
  for (size_t i = 0; i < split.payloads.size(); ++i) {
    const SplitResponse::Payload& payload = split.payloads[i];
    if (fit) {
      CopyPayload(payload, outputs[i]);
      reply.payloads.push_back(outputs[i]);
    } else if (payload.pieces.size() == 1) {
      reply.payloads.push_back(payload.pieces[0]);
    } else {
      std::vector<std::byte>& joined =
          memory->joined.emplace_back(payload.size_bytes);
      CopyPayload(payload, absl::MakeSpan(joined));
      reply.payloads.push_back(joined);
    }
  }
  return reply;
}

}  // namespace actserve
