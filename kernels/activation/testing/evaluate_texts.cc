// Evaluates texts in float64 with the interpreter, for comparisons with other
// programs' results. Each line of the input is a JSON object with `text` and
// `rows`, the inputs of one element each as strings; each line of the output
// has `values`, or `error`.

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "kernels/activation/activation.h"
#include "kernels/graph/interpret.h"

namespace {

using ::actserve::Activation;
using ::nlohmann::json;

json Run(const json& request) {
  const auto made = Activation::Create(request["text"].get<std::string>(), {},
                                       /*diagnostics=*/nullptr);
  if (!made.ok()) return {{"error", std::string(made.status().message())}};
  std::vector<double> parameters;
  for (const actserve::Parameter& parameter : (*made)->parameters()) {
    parameters.push_back(parameter.default_value);
  }
  json values = json::array();
  for (const json& row : request["rows"]) {
    std::vector<double> inputs;
    for (const json& input : row) {
      inputs.push_back(std::strtod(input.get<std::string>().c_str(), nullptr));
    }
    const double value =
        actserve::Evaluate<double>((*made)->forward(), inputs, parameters)[0];
    values.push_back(absl::StrFormat("%.17g", value));
  }
  return {{"values", values}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << Run(json::parse(line)).dump() << "\n";
  }
  return 0;
}
