#include "server/state/activation_info.h"

#include <string>

#include "kernels/activation/gradient_check.h"

namespace actserve {
v1::Activation Describe(const Activation& activation, bool builtin) {
  v1::Activation info;
  info.set_id(activation.id());
  info.set_name(activation.name());
  info.set_builtin(builtin);
  for (const std::string& input : activation.inputs()) info.add_inputs(input);
  for (const Parameter& parameter : activation.parameters()) {
    v1::ParameterSpec& spec = *info.add_parameters();
    spec.set_name(parameter.name);
    spec.set_default_value(parameter.default_value);
  }
  info.set_text(activation.text());
  info.set_doc(activation.doc());
  info.set_declared_gradient(activation.has_declared_gradient());
  for (const std::string& rewrite : activation.rewrites()) {
    info.add_rewrites(rewrite);
  }
  return info;
}

void AddDetails(const Activation& activation, v1::Activation* info) {
  const auto add_gradient = [&](const std::string& name) {
    info->add_gradients(activation.GradientText(name).value_or(""));
  };
  for (const std::string& input : activation.inputs()) add_gradient(input);
  for (const Parameter& parameter : activation.parameters()) {
    add_gradient(parameter.name);
  }
  info->set_program(activation.CanonicalText());
  const GradientCheck check = CheckGradient(activation);
  v1::GradientCheck& message = *info->mutable_gradient_check();
  message.set_num_points(check.num_points);
  message.set_max_error(check.max_error);
  message.set_worst_input(check.worst_input);
  message.set_num_nan(check.num_nan);
}

}  // namespace actserve
