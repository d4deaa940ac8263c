#include "server/message/activation_info.h"

#include <string>

namespace actserve {

v1::Activation ToProto(const ActivationDescription& description, bool builtin) {
  v1::Activation message;
  message.set_id(description.id);
  message.set_name(description.name);
  message.set_builtin(builtin);
  for (const std::string& input : description.inputs) message.add_inputs(input);
  for (const Parameter& parameter : description.parameters) {
    v1::ParameterSpec& spec = *message.add_parameters();
    spec.set_name(parameter.name);
    spec.set_default_value(parameter.default_value);
  }
  message.set_text(description.text);
  message.set_doc(description.doc);
  for (const ActivationDescription::Gradient& gradient :
       description.gradients) {
    message.add_gradients(gradient.text.value_or(""));
  }
  message.set_declared_gradient(description.declared_gradient);
  for (const std::string& rewrite : description.rewrites) {
    message.add_rewrites(rewrite);
  }
  if (description.program.empty()) return message;
  message.set_program(description.program);
  const GradientCheck& check = description.gradient_check;
  v1::GradientCheck& check_message = *message.mutable_gradient_check();
  check_message.set_num_points(check.num_points);
  check_message.set_max_error(check.max_error);
  check_message.set_worst_input(check.worst_input);
  check_message.set_num_nan(check.num_nan);
  return message;
}

}  // namespace actserve
