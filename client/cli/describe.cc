#include "client/cli/describe.h"

#include <charconv>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace actserve {
namespace {

std::string NumberText(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

// `title`, then `body` indented; nothing without a body.
void AppendPart(absl::string_view title, absl::string_view body,
                std::string& text) {
  body = absl::StripTrailingAsciiWhitespace(body);
  if (body.empty()) return;
  absl::StrAppend(&text, "\n", title, ":\n");
  for (const absl::string_view line : absl::StrSplit(body, '\n')) {
    absl::StrAppend(&text, line.empty() ? "" : "  ", line, "\n");
  }
}

}  // namespace

v1::Activation Describe(const Activation& activation, bool builtin) {
  v1::Activation message;
  message.set_id(activation.id());
  message.set_name(activation.name());
  message.set_builtin(builtin);
  message.set_text(activation.text());
  message.set_doc(activation.doc());
  message.set_declared_gradient(activation.has_declared_gradient());
  message.set_program(activation.CanonicalText());
  for (const std::string& rewrite : activation.rewrites()) {
    message.add_rewrites(rewrite);
  }
  std::vector<std::string> names = activation.inputs();
  for (const std::string& input : activation.inputs()) {
    message.add_inputs(input);
  }
  for (const Parameter& parameter : activation.parameters()) {
    auto* spec = message.add_parameters();
    spec->set_name(parameter.name);
    spec->set_default_value(parameter.default_value);
    names.push_back(parameter.name);
  }
  for (const std::string& name : names) {
    const auto gradient = activation.GradientText(name);
    message.add_gradients(
        gradient.ok() ? *gradient : std::string(gradient.status().message()));
  }
  return message;
}

std::string Signature(const v1::Activation& activation) {
  std::vector<std::string> arguments(activation.inputs().begin(),
                                     activation.inputs().end());
  for (const v1::ParameterSpec& parameter : activation.parameters()) {
    arguments.push_back(absl::StrCat(parameter.name(), "=",
                                     NumberText(parameter.default_value())));
  }
  return absl::StrCat(activation.name(), "(", absl::StrJoin(arguments, ", "),
                      ")");
}

std::string DescriptionText(const v1::Activation& activation) {
  std::string text =
      absl::StrCat(Signature(activation), "\n", activation.id(), "\n");
  AppendPart("text", activation.text(), text);
  AppendPart("rewritten for accuracy",
             absl::StrJoin(activation.rewrites(), "\n"), text);
  AppendPart("program", activation.program(), text);
  for (int i = 0; i < activation.gradients_size(); ++i) {
    const int parameter = i - activation.inputs_size();
    const std::string& name = parameter < 0
                                  ? activation.inputs(i)
                                  : activation.parameters(parameter).name();
    AppendPart(
        absl::StrCat(activation.declared_gradient() ? "declared" : "derived",
                     " gradient d/d", name),
        activation.gradients(i), text);
  }
  if (activation.has_gradient_check()) {
    const v1::GradientCheck& check = activation.gradient_check();
    AppendPart("gradient check",
               absl::StrCat("largest difference from central differences at ",
                            check.num_points(),
                            " points: ", NumberText(check.max_error()),
                            check.num_nan() > 0
                                ? absl::StrCat("\nNaN at ", check.num_nan())
                                : ""),
               text);
  }
  return text;
}

}  // namespace actserve
