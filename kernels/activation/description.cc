#include "kernels/activation/description.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/graph/print.h"

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
  description.reads_rows = activation.reads_rows();
  description.rewrites = activation.rewrites();
  return description;
}

std::vector<ActivationDescription::Gradient> DescribeGradients(
    const Activation& activation, const GradientTextLimits& limits) {
  std::vector<ActivationDescription::Gradient> gradients;
  size_t room = limits.together;
  const auto add = [&](const std::string& name) {
    if (room == 0) {
      gradients.push_back(
          {name, CutLine(absl::StrCat("the gradients before it have ",
                                      limits.together, " bytes"))});
      return;
    }
    auto text = activation.GradientText(name, std::min(limits.each, room));
    if (text.ok()) room -= std::min(room, text->size());
    gradients.push_back({name, std::move(text)});
  };
  for (const std::string& input : activation.inputs()) add(input);
  for (const Parameter& parameter : activation.parameters()) {
    add(parameter.name);
  }
  return gradients;
}

ActivationDescription Describe(const Activation& activation) {
  ActivationDescription description = Summarize(activation);
  description.gradients = DescribeGradients(activation, {});
  description.program = activation.CanonicalText();
  description.gradient_check = CheckGradient(activation);
  return description;
}

}  // namespace actserve
