#include "server/kserve/infer_request.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actserve/v1/service.pb.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"
#include "proto/all_inputs_name.h"
#include "server/kserve/datatype.h"
#include "server/kserve/infer_parameters.h"

namespace actserve::kserve {
namespace {

using inference::InferTensorContents;
using inference::ModelInferRequest;

// An input of the request.
struct Input {
  const ModelInferRequest::InferInputTensor* message = nullptr;
  DType dtype = DType::kFloat32;
  std::optional<int32_t> axis;
  // Its elements: of a payload of `raw`, or in one piece.
  int raw_place = InferRequest::kNotRaw;
  absl::Span<const Fragment> fragments;
  Fragment piece = {};

  size_t size_bytes() const {
    size_t size = 0;
    for (const Fragment& fragment : fragments) size += fragment.size_bytes;
    return size;
  }
};

template <typename T>
Fragment BytesOf(const google::protobuf::RepeatedField<T>& elements) {
  return {reinterpret_cast<const std::byte*>(elements.data()),
          elements.size() * sizeof(T)};
}

int CountElements(const InferTensorContents& contents) {
  return contents.bool_contents_size() + contents.int_contents_size() +
         contents.int64_contents_size() + contents.uint_contents_size() +
         contents.uint64_contents_size() + contents.fp32_contents_size() +
         contents.fp64_contents_size() + contents.bytes_contents_size();
}

// The elements that `contents` has for a tensor of `dtype`.
absl::StatusOr<Fragment> TypedContents(const std::string& what, DType dtype,
                                       const InferTensorContents& contents) {
  absl::string_view field;
  int num_elements = 0;
  Fragment bytes = {};
  if (dtype == DType::kFloat32) {
    field = "fp32_contents";
    num_elements = contents.fp32_contents_size();
    bytes = BytesOf(contents.fp32_contents());
  } else if (dtype == DType::kFloat64) {
    field = "fp64_contents";
    num_elements = contents.fp64_contents_size();
    bytes = BytesOf(contents.fp64_contents());
  } else {
    return InvalidArgument(what, ": contents have no field for ",
                           DatatypeOf(dtype), ": use raw_input_contents");
  }
  if (CountElements(contents) != num_elements) {
    return InvalidArgument(what, ": contents of ", DatatypeOf(dtype),
                           " must be in ", field);
  }
  return bytes;
}

absl::StatusOr<std::vector<Input>> ReadInputs(const ModelInferRequest& message,
                                              const SplitRequest& raw,
                                              ReadRegion read_region) {
  std::vector<Input> inputs(message.inputs_size());
  size_t payload = 0;
  for (int i = 0; i < message.inputs_size(); ++i) {
    Input& input = inputs[i];
    input.message = &message.inputs(i);
    const std::string what = absl::StrCat("inputs[", i, "]");
    const auto dtype = DTypeOf(input.message->datatype());
    if (!dtype.has_value()) {
      return InvalidArgument(what, ": datatype ",
                             Quoted(input.message->datatype()),
                             ", must be FP16, BF16, FP32 or FP64");
    }
    input.dtype = *dtype;
    ACTSERVE_ASSIGN_OR_RETURN(
        TensorParameters parameters,
        DecodeTensorParameters(what, input.message->parameters()));
    input.axis = parameters.axis;
    const InferTensorContents& contents = input.message->contents();
    const bool has_contents = CountElements(contents) > 0;
    if (parameters.region.has_value()) {
      if (has_contents) {
        return InvalidArgument(what,
                               ": contents must not be given for a tensor in "
                               "shared memory");
      }
      ACTSERVE_ASSIGN_OR_RETURN(input.piece,
                                read_region(*parameters.region, what));
    } else if (!raw.payloads.empty()) {
      if (has_contents) {
        return InvalidArgument(
            what, ": contents must not be given with raw_input_contents");
      }
      if (payload == raw.payloads.size()) {
        return InvalidArgument("raw_input_contents: given ", payload,
                               " times, but inputs[", i, "] needs another one");
      }
      input.raw_place = static_cast<int>(payload);
      input.fragments = raw.FragmentsOf(raw.payloads[payload++]);
      continue;
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(
          input.piece, has_contents ? TypedContents(what, input.dtype, contents)
                                    : absl::StatusOr<Fragment>(Fragment{}));
    }
    // `inputs` does not grow, so the piece stays where it is.
    if (input.piece.size_bytes > 0) input.fragments = {&input.piece, 1};
  }
  if (payload != raw.payloads.size()) {
    return InvalidArgument("raw_input_contents: given ", raw.payloads.size(),
                           " times, but the inputs need ", payload);
  }
  return inputs;
}

// Writes the request `Message`, of the native contract.
template <typename Message>
class Writer {
 public:
  Writer(const Model& model, const ModelInferRequest& from,
         const RequestParameters& parameters, std::vector<Input> inputs)
      : model_(model),
        from_(from),
        parameters_(parameters),
        inputs_(std::move(inputs)) {}

  absl::Status Write(InferRequest* request) {
    message_.set_activation(ActivationNameOf(model_, from_.model_name()));
    if (parameters_.axis.has_value()) message_.set_axis(*parameters_.axis);
    if (parameters_.split_axis.has_value()) {
      message_.set_split_axis(*parameters_.split_axis);
    }
    message_.set_element_offset(parameters_.element_offset);
    ACTSERVE_RETURN_IF_ERROR(CheckNames());
    AddInputs();
    ACTSERVE_RETURN_IF_ERROR(AddParameters());
    AddGradOutput();
    ACTSERVE_RETURN_IF_ERROR(AddOutputs(request));
    request->split = std::move(split_);
    request->raw_places = std::move(raw_places_);
    request->split.metadata = message_.SerializeAsString();
    return absl::OkStatus();
  }

 private:
  static constexpr bool kIsBackward =
      std::is_same_v<Message, v1::BackwardRequest>;

  std::vector<std::string> InputNames() const {
    if (parameters_.split_axis.has_value()) return {kAllInputsName};
    return model_.activation().inputs();
  }

  // Every input must be known, and there once.
  absl::Status CheckNames() const {
    std::vector<std::string> names = InputNames();
    if (kIsBackward) names.push_back(GradOutputInputOf(model_.activation()));
    for (const Parameter& parameter : model_.activation().parameters()) {
      names.push_back(parameter.name);
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const std::string& name = inputs_[i].message->name();
      if (std::ranges::find(names, name) == names.end()) {
        return InvalidArgument(
            "inputs[", i, "]: ", Quoted(name), " is not an input of ",
            Quoted(from_.model_name()), ": want ", absl::StrJoin(names, ", "));
      }
      for (size_t k = 0; k < i; ++k) {
        if (inputs_[k].message->name() == name) {
          return InvalidArgument("inputs[", i, "]: ", Quoted(name),
                                 " is given more than once");
        }
      }
    }
    return absl::OkStatus();
  }

  const Input* Find(absl::string_view name) const {
    for (const Input& input : inputs_) {
      if (input.message->name() == name) return &input;
    }
    return nullptr;
  }

  // The native message, for which protobuf numbers types as we do.
  v1::Tensor TypeOf(const Input& input) const {
    v1::Tensor tensor;
    tensor.set_dtype(static_cast<v1::DType>(input.dtype));
    *tensor.mutable_shape() = input.message->shape();
    return tensor;
  }

  void AddPayload(const Input& input) {
    raw_places_.push_back(input.raw_place);
    split_.payloads.push_back({.first = split_.fragments.size(),
                               .count = input.fragments.size(),
                               .size_bytes = input.size_bytes()});
    split_.fragments.insert(split_.fragments.end(), input.fragments.begin(),
                            input.fragments.end());
  }

  void AddInputs() {
    for (const std::string& name : InputNames()) {
      const Input* const input = Find(name);
      if (input == nullptr) continue;
      *message_.add_inputs() = TypeOf(*input);
      AddPayload(*input);
    }
  }

  absl::Status AddParameters() {
    for (const Parameter& parameter : model_.activation().parameters()) {
      const Input* const input = Find(parameter.name);
      if (input == nullptr) continue;
      if (parameters_.numbers.contains(parameter.name)) {
        return InvalidArgument("parameters: ", Quoted(parameter.name),
                               " is given as an input too");
      }
      v1::ParameterValue& value = *message_.add_parameters();
      value.set_name(parameter.name);
      *value.mutable_tensor()->mutable_tensor() = TypeOf(*input);
      if (input->axis.has_value()) {
        value.mutable_tensor()->set_axis(*input->axis);
      }
      AddPayload(*input);
    }
    for (const auto& [name, number] : parameters_.numbers) {
      v1::ParameterValue& value = *message_.add_parameters();
      value.set_name(name);
      value.set_scalar(number);
    }
    return absl::OkStatus();
  }

  void AddGradOutput() {
    if constexpr (kIsBackward) {
      const Input* const input = Find(GradOutputInputOf(model_.activation()));
      if (input == nullptr) return;
      *message_.mutable_grad_output() = TypeOf(*input);
      AddPayload(*input);
    }
  }

  absl::Status AddOutputs(InferRequest* request) {
    // By the name of the output: what it is the gradient of.
    std::vector<std::string> variables = {kOutputName};
    std::vector<std::string> names = {kOutputName};
    if constexpr (kIsBackward) {
      variables = DifferentiableNames(model_.activation(),
                                      parameters_.split_axis.has_value());
      names.clear();
      for (const std::string& v : variables) {
        names.push_back(GradientNameOf(v));
      }
    }
    std::vector<size_t> wanted;
    bool has_region = false;
    for (int i = 0; i < from_.outputs_size(); ++i) {
      const auto& output = from_.outputs(i);
      const std::string what = absl::StrCat("outputs[", i, "]");
      const auto found = std::ranges::find(names, output.name());
      if (found == names.end()) {
        return InvalidArgument(
            what, ": ", Quoted(output.name()), " is not an output of ",
            Quoted(from_.model_name()), ": want ", absl::StrJoin(names, ", "));
      }
      const size_t index = found - names.begin();
      if (std::ranges::find(wanted, index) != wanted.end()) {
        return InvalidArgument(what, ": ", Quoted(output.name()),
                               " is given more than once");
      }
      wanted.push_back(index);
      ACTSERVE_ASSIGN_OR_RETURN(
          TensorParameters parameters,
          DecodeTensorParameters(what, output.parameters()));
      if (parameters.axis.has_value()) {
        return InvalidArgument(what, ": parameters: an output has no axis");
      }
      has_region |= parameters.region.has_value();
      request->output_regions.push_back(std::move(parameters.region));
    }
    if (!has_region) request->output_regions.clear();
    if constexpr (kIsBackward) {
      if (wanted.empty()) {
        for (const std::string& v : variables) message_.add_wrt(v);
      }
      for (const size_t index : wanted) message_.add_wrt(variables[index]);
    }
    return absl::OkStatus();
  }

  const Model& model_;
  const ModelInferRequest& from_;
  const RequestParameters& parameters_;
  const std::vector<Input> inputs_;
  Message message_;
  SplitRequest split_;
  std::vector<int> raw_places_;
};

// Protobuf would take the last of two; a request that says two things is
// refused instead.
absl::Status CheckGivenOnce(const SplitRequest& raw) {
  constexpr std::pair<absl::string_view, int> kFields[] = {
      {"model_name", ModelInferRequest::kModelNameFieldNumber},
      {"model_version", ModelInferRequest::kModelVersionFieldNumber},
      {"id", ModelInferRequest::kIdFieldNumber}};
  for (const auto& [name, number] : kFields) {
    if (raw.repeated_fields >> number & 1) {
      return InvalidArgument(name, ": given more than once");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<InferRequest> Translate(const ModelInferRequest& message,
                                       const SplitRequest& raw,
                                       Registry& registry, const Tenant* tenant,
                                       ReadRegion read_region) {
  ACTSERVE_RETURN_IF_ERROR(CheckGivenOnce(raw));
  InferRequest request;
  ACTSERVE_ASSIGN_OR_RETURN(
      request.model, FindModel(message.model_name(), message.model_version(),
                               registry, tenant));
  ACTSERVE_ASSIGN_OR_RETURN(const RequestParameters parameters,
                            DecodeRequestParameters(message.parameters()));
  request.timeout = parameters.timeout;
  ACTSERVE_ASSIGN_OR_RETURN(std::vector<Input> inputs,
                            ReadInputs(message, raw, read_region));
  if (request.model.is_backward) {
    request.method = TensorMethod::kBackward;
    ACTSERVE_RETURN_IF_ERROR(Writer<v1::BackwardRequest>(request.model, message,
                                                         parameters,
                                                         std::move(inputs))
                                 .Write(&request));
  } else {
    ACTSERVE_RETURN_IF_ERROR(Writer<v1::ForwardRequest>(request.model, message,
                                                        parameters,
                                                        std::move(inputs))
                                 .Write(&request));
  }
  return request;
}

}  // namespace actserve::kserve
