// Texts that users reported, and others of their kind: the value and the
// gradient in each dtype, or what the refusal says.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/activation/activation.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

using ::nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

double Number(const json& value) {
  return value.is_string()
             ? std::strtod(value.get<std::string>().c_str(), nullptr)
             : value.get<double>();
}

// Relative, of a result rounded to the dtype; 0 is held to 1e-12.
double Tolerance(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return 1e-12;
    case DType::kFloat32:
      return 1e-6;
    default:
      return 1.0 / 128;
  }
}

void ExpectNear(double got, double want, DType dtype, const std::string& what) {
  if (std::isnan(want) || std::isinf(want)) {
    EXPECT_TRUE(std::isnan(want) ? std::isnan(got) : got == want)
        << what << ": " << got << ", not " << want;
    return;
  }
  EXPECT_NEAR(got, want, Tolerance(dtype) * std::abs(want) + 1e-12) << what;
}

// Runs the program of one dtype as its rule says: the 16-bit types of one
// input compute in float64.
std::vector<double> ValuesOf(const LoweredProgram& program, DType dtype,
                             const std::vector<double>& inputs,
                             const std::vector<double>& parameters) {
  if (dtype != DType::kFloat32) {
    return Evaluate<double>(program.graph, inputs, parameters);
  }
  const std::vector<float> values = Evaluate<float>(
      program.graph, std::vector<float>(inputs.begin(), inputs.end()),
      std::vector<float>(parameters.begin(), parameters.end()));
  return {values.begin(), values.end()};
}

class Reported : public ::testing::TestWithParam<json> {
 protected:
  void CheckValues(const Activation& activation, DType dtype,
                   const std::string& type) {
    const json& fields = GetParam();
    const json& columns = fields["inputs"][type];
    std::vector<double> parameters;
    for (const Parameter& parameter : activation.parameters()) {
      parameters.push_back(parameter.default_value);
    }
    const auto forward = activation.LowerForward(dtype, {});
    ASSERT_TRUE(forward.ok());
    std::map<std::string, double> sums;
    const size_t count = columns[activation.inputs()[0]].size();
    for (size_t i = 0; i < count; ++i) {
      std::vector<double> inputs;
      for (const std::string& input : activation.inputs()) {
        inputs.push_back(Number(columns[input][i]));
      }
      const std::string at = type + ", element " + std::to_string(i);
      ExpectNear(ValuesOf(*forward, dtype, inputs, parameters)[0],
                 Number(fields["expected"][type][i]), dtype, at);
      inputs.push_back(1);  // the upstream gradient
      for (const std::string& name :
           fields.value("wrt", std::vector<std::string>())) {
        const auto backward = activation.LowerBackward(dtype, {name});
        ASSERT_TRUE(backward.ok()) << backward.status();
        const double got = ValuesOf(*backward, dtype, inputs, parameters)[0];
        const json& want = fields["expected_grad"][type][name];
        if (want.is_array()) {
          ExpectNear(got, Number(want[i]), dtype, "gradient, " + at);
        }
        sums[name] += got;
      }
    }
    for (const auto& [name, sum] : sums) {
      const json& want = fields["expected_grad"][type][name];
      if (!want.is_array()) ExpectNear(sum, Number(want), dtype, name);
    }
  }
};

TEST_P(Reported, HasItsValuesOrIsRefusedWithHelp) {
  const json& fields = GetParam();
  SCOPED_TRACE(fields["name"].get<std::string>());
  const auto made =
      Activation::Create(fields["text"].get<std::string>(), {}, nullptr);
  if (fields["expected"] == "refuse") {
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(made.status().message());
    for (const json& part : fields["message_has"]) {
      EXPECT_THAT(message, HasSubstr(part.get<std::string>()));
    }
    for (const json& part : fields["message_lacks"]) {
      EXPECT_THAT(message, Not(HasSubstr(part.get<std::string>())));
    }
    return;
  }
  ASSERT_TRUE(made.ok()) << made.status();
  for (const auto& [type, columns] : fields["inputs"].items()) {
    const DType dtype = type == "float64"   ? DType::kFloat64
                        : type == "float32" ? DType::kFloat32
                                            : DType::kBFloat16;
    CheckValues(**made, dtype, type);
  }
  const json refusals = fields.value("refused_gradient", json::object());
  for (const auto& [name, parts] : refusals.items()) {
    const absl::Status refused =
        (*made)->LowerBackward(DType::kFloat64, {name}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    for (const json& part : parts) {
      EXPECT_THAT(std::string(refused.message()),
                  HasSubstr(part.get<std::string>()));
    }
  }
}

std::vector<json> Cases() {
  std::ifstream file(ACTSERVE_REPORTED_CASES);
  std::vector<json> cases;
  for (const json& fields : json::parse(file)) cases.push_back(fields);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, Reported, ::testing::ValuesIn(Cases()));

}  // namespace
}  // namespace actserve
