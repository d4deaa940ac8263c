#include "kernels/activation/description.h"

namespace actserve {

ActivationDescription Summarize(const Activation& activation) {
  ActivationDescription description;
  description.id = activation.id();
  description.name = activation.name();
  description.text = activation.text();
  description.doc = activation.doc();
  description.inputs = activation.inputs();
  description.parameters = activation.parameters();
  description.declared_gradient = activation.has_declared_gradient();
  description.rewrites = activation.rewrites();
  return description;
}

ActivationDescription Describe(const Activation& activation) {
  ActivationDescription description = Summarize(activation);
  const auto add_gradient = [&](const std::string& name) {
    description.gradients.push_back({name, activation.GradientText(name)});
  };
  for (const std::string& input : activation.inputs()) add_gradient(input);
  for (const Parameter& parameter : activation.parameters()) {
    add_gradient(parameter.name);
  }
  description.program = activation.CanonicalText();
  description.gradient_check = CheckGradient(activation);
  return description;
}

}  // namespace actserve
