#include "server/kserve/model_description.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/base/dtype.h"
#include "server/kserve/datatype.h"

namespace actserve::kserve {
namespace {

constexpr char kPlatform[] = "actserve";
// Any shape, of any rank.
constexpr int64_t kAnySize = -1;

struct Tensor {
  std::string name;
  DType dtype = DType::kFloat32;
  int64_t size = kAnySize;
};

std::vector<Tensor> InputsOf(const Model& model) {
  std::vector<Tensor> tensors;
  for (const std::string& name : model.activation().inputs()) {
    tensors.push_back({name});
  }
  if (model.is_backward) {
    tensors.push_back({GradOutputInputOf(model.activation())});
  }
  return tensors;
}

std::vector<Tensor> OutputsOf(const Model& model) {
  if (!model.is_backward) return {{kOutputName}};
  const Activation& activation = model.activation();
  std::vector<Tensor> tensors;
  for (const std::string& name :
       DifferentiableNames(activation, /*is_split=*/false)) {
    tensors.push_back({GradientNameOf(name)});
    // Of a parameter: one number.
    if (tensors.size() > activation.inputs().size()) {
      tensors.back().dtype = DType::kFloat64;
      tensors.back().size = 1;
    }
  }
  return tensors;
}

// The shortest text that means the same number.
std::string TextOf(double number) {
  std::array<char, 32> text;
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), number);
  return {text.data(), end};
}

std::map<std::string, std::string> ParametersOf(const Model& model) {
  std::map<std::string, std::string> parameters;
  for (const Parameter& parameter : model.activation().parameters()) {
    parameters[parameter.name] = TextOf(parameter.default_value);
  }
  return parameters;
}

}  // namespace

inference::ModelMetadataResponse MetadataOf(const Model& model,
                                            const std::string& name) {
  inference::ModelMetadataResponse message;
  message.set_name(name);
  message.add_versions(std::string(kModelVersion));
  message.set_platform(kPlatform);
  const auto add = [](const Tensor& tensor, auto* to) {
    to->set_name(tensor.name);
    to->set_datatype(std::string(DatatypeOf(tensor.dtype)));
    to->add_shape(tensor.size);
  };
  for (const Tensor& input : InputsOf(model)) add(input, message.add_inputs());
  for (const Tensor& output : OutputsOf(model)) {
    add(output, message.add_outputs());
  }
  for (const auto& [parameter, value] : ParametersOf(model)) {
    (*message.mutable_properties())[parameter] = value;
  }
  return message;
}

inference::ModelConfig ConfigOf(const Model& model, const std::string& name) {
  inference::ModelConfig config;
  config.set_name(name);
  config.set_platform(kPlatform);
  config.set_backend(kPlatform);
  const auto add = [](const Tensor& tensor, auto* to) {
    to->set_name(tensor.name);
    to->set_data_type(ConfigTypeOf(tensor.dtype));
    to->add_dims(tensor.size);
  };
  for (const Tensor& input : InputsOf(model)) add(input, config.add_input());
  for (const Tensor& output : OutputsOf(model)) {
    add(output, config.add_output());
  }
  for (const auto& [parameter, value] : ParametersOf(model)) {
    (*config.mutable_parameters())[parameter].set_string_value(value);
  }
  config.mutable_model_transaction_policy()->set_decoupled(false);
  return config;
}

inference::RepositoryIndexResponse IndexOf(const Registry& registry,
                                           const Tenant* tenant) {
  constexpr int kPage = 1000;
  inference::RepositoryIndexResponse message;
  const auto add = [&](std::string name) {
    auto& model = *message.add_models();
    model.set_name(std::move(name));
    model.set_version(kModelVersion);
    model.set_state("READY");
  };
  for (int64_t position = 0;;) {
    const std::vector<Registry::Listed> page =
        registry.List(position, kPage, tenant);
    for (const Registry::Listed& listed : page) {
      const RegisteredActivation& registered = *listed.activation;
      const std::string& name = registered.builtin()
                                    ? registered.activation().name()
                                    : registered.id();
      add(name);
      add(absl::StrCat(name, kBackwardSuffix));
    }
    if (page.size() < kPage) return message;
    position = page.back().position + 1;
  }
}

}  // namespace actserve::kserve
