#include "server/message/activation_info.h"

#include <string>

#include "kernels/activation/activation.h"

namespace actserve {

v1::Activation Summary(const RegisteredActivation& registered, bool with_text) {
  const Activation& activation = registered.activation();
  v1::Activation message;
  message.set_id(activation.id());
  message.set_name(activation.name());
  message.set_builtin(registered.builtin());
  for (const std::string& input : activation.inputs()) {
    message.add_inputs(input);
  }
  for (const Parameter& parameter : activation.parameters()) {
    v1::ParameterSpec& spec = *message.add_parameters();
    spec.set_name(parameter.name);
    spec.set_default_value(parameter.default_value);
  }
  if (with_text) message.set_text(activation.text());
  message.set_doc(activation.doc());
  message.set_declared_gradient(activation.has_declared_gradient());
  message.set_reads_rows(activation.reads_rows());
  for (const std::string& rewrite : activation.rewrites()) {
    message.add_rewrites(rewrite);
  }
  return message;
}

v1::Activation Details(const RegisteredActivation& registered,
                       bool with_gradients) {
  const Activation& activation = registered.activation();
  v1::Activation message = Summary(registered, /*with_text=*/true);
  message.set_program(activation.CanonicalText(kMaxProgramBytes));
  const GradientCheck& check = registered.gradient_check();
  v1::GradientCheck& check_message = *message.mutable_gradient_check();
  check_message.set_num_points(check.num_points);
  check_message.set_max_error(check.max_error);
  check_message.set_worst_input(check.worst_input);
  check_message.set_num_nan(check.num_nan);
  for (const GradientCheck::Variable& variable : check.variables) {
    v1::GradientCheck::Variable& worst = *check_message.add_variables();
    worst.set_name(variable.name);
    worst.set_max_error(variable.max_error);
    worst.mutable_inputs()->Assign(variable.inputs.begin(),
                                   variable.inputs.end());
    worst.set_gradient(variable.gradient);
    worst.set_difference(variable.difference);
  }
  if (!with_gradients) return message;
  for (const auto& gradient :
       DescribeGradients(activation, kGradientTextLimits)) {
    message.add_gradients(gradient.text.value_or(""));
  }
  return message;
}

}  // namespace actserve
