#include "client/cli/describe.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

// "" if no point was compared.
std::string CheckText(const ActivationDescription& activation) {
  const GradientCheck& check = activation.gradient_check;
  std::string text;
  if (check.num_points > 0) {
    text = absl::StrCat("largest difference from central differences at ",
                        check.num_points,
                        " points: ", NumberText(check.max_error));
  }
  if (check.num_nan > 0) {
    absl::StrAppend(&text, "\nNaN at ", check.num_nan, " points");
  }
  for (const GradientCheck::Variable& variable : check.variables) {
    const std::string where = TellDifference(variable, activation.inputs);
    if (where.empty()) continue;
    absl::StrAppend(&text, "\nd/d", variable.name, ": ", where);
  }
  return text;
}

}  // namespace

ActivationDescription FromMessage(const v1::Activation& message) {
  ActivationDescription activation;
  activation.id = message.id();
  activation.name = message.name();
  activation.text = message.text();
  activation.doc = message.doc();
  activation.inputs.assign(message.inputs().begin(), message.inputs().end());
  std::vector<std::string> names = activation.inputs;
  for (const v1::ParameterSpec& parameter : message.parameters()) {
    activation.parameters.push_back(
        {parameter.name(), parameter.default_value()});
    names.push_back(parameter.name());
  }
  activation.declared_gradient = message.declared_gradient();
  activation.reads_rows = message.reads_rows();
  activation.rewrites.assign(message.rewrites().begin(),
                             message.rewrites().end());
  const size_t num_gradients = message.gradients_size();
  for (size_t i = 0; i < std::min(names.size(), num_gradients); ++i) {
    absl::StatusOr<std::string> text = message.gradients(i);
    if (text->empty()) text = absl::NotFoundError("the server cannot tell it");
    activation.gradients.push_back({names[i], std::move(text)});
  }
  activation.program = message.program();
  const v1::GradientCheck& check = message.gradient_check();
  activation.gradient_check = {check.num_points(),
                               check.max_error(),
                               check.worst_input(),
                               check.num_nan(),
                               {}};
  for (const v1::GradientCheck::Variable& variable : check.variables()) {
    activation.gradient_check.variables.push_back(
        {variable.name(),
         variable.max_error(),
         {variable.inputs().begin(), variable.inputs().end()},
         variable.gradient(),
         variable.difference()});
  }
  return activation;
}

std::string Signature(const ActivationDescription& activation) {
  std::vector<std::string> arguments = activation.inputs;
  for (const Parameter& parameter : activation.parameters) {
    arguments.push_back(
        absl::StrCat(parameter.name, "=", NumberText(parameter.default_value)));
  }
  return absl::StrCat(activation.name, "(", absl::StrJoin(arguments, ", "),
                      ")");
}

std::string DescriptionText(const ActivationDescription& activation) {
  std::string text =
      absl::StrCat(Signature(activation), "\n", activation.id, "\n");
  if (activation.reads_rows) {
    absl::StrAppend(&text, "reads rows: forward and backward need --axis\n");
  }
  AppendPart("text", activation.text, text);
  AppendPart("rewritten for accuracy", absl::StrJoin(activation.rewrites, "\n"),
             text);
  AppendPart("program", activation.program, text);
  const char* const origin =
      activation.declared_gradient ? "declared" : "derived";
  for (const ActivationDescription::Gradient& gradient : activation.gradients) {
    AppendPart(absl::StrCat(origin, " gradient ",
                            activation.reads_rows ? "d(rowsum(y))/d" : "d/d",
                            gradient.name),
               gradient.text.ok()
                   ? *gradient.text
                   : absl::StrCat("none: ", gradient.text.status().message()),
               text);
  }
  AppendPart("gradient check", CheckText(activation), text);
  return text;
}

}  // namespace actserve
