// Real activation functions from frameworks and the literature, each with
// values and derivatives computed with 45 digits: every one must be accepted
// and right in float64, by the interpreter.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

using ::nlohmann::json;

constexpr double kTolerance = 1e-9;

std::vector<double> Defaults(const Activation& activation) {
  std::vector<double> values;
  for (const Parameter& parameter : activation.parameters()) {
    values.push_back(parameter.default_value);
  }
  return values;
}

void ExpectNear(double got, const json& want, double scale,
                const std::string& what) {
  const double tolerance = kTolerance * std::max(1.0, std::fabs(scale));
  EXPECT_NEAR(got, want.get<double>(), tolerance) << what;
}

struct Entry {
  json fields;
};
void PrintTo(const Entry& entry, std::ostream* os) {
  *os << entry.fields["python"].get<std::string>();
}

class Corpus : public ::testing::TestWithParam<Entry> {
 protected:
  void SetUp() override {
    std::vector<Diagnostic> diagnostics;
    auto made = Activation::Create(
        GetParam().fields["python"].get<std::string>(), {}, &diagnostics);
    ASSERT_TRUE(made.ok()) << made.status();
    activation_ = *made;
  }

  // d(y)/d(name) at one point, through the program that would be compiled.
  double Gradient(const std::string& name, std::vector<double> inputs,
                  const std::vector<double>& parameters) {
    const auto program = activation_->LowerBackward(DType::kFloat64, {name});
    EXPECT_TRUE(program.ok()) << program.status();
    inputs.push_back(1);
    return Evaluate<double>(program->graph, inputs, parameters)[0];
  }

  // Rows are the inputs, the value, and the derivative by each input.
  void CheckRows(const json& rows, const std::vector<double>& parameters) {
    const size_t n = activation_->inputs().size();
    for (const json& row : rows) {
      const std::string at = row.dump();
      const auto all = row.get<std::vector<double>>();
      const std::vector<double> inputs(all.begin(), all.begin() + n);
      const double y =
          Evaluate<double>(activation_->forward(), inputs, parameters)[0];
      ExpectNear(y, row[n], all[n], "value at " + at);
      for (size_t i = 0; i < n; ++i) {
        ExpectNear(Gradient(activation_->inputs()[i], inputs, parameters),
                   row[n + 1 + i], all[n + 1 + i], "gradient at " + at);
      }
    }
  }

  std::shared_ptr<const Activation> activation_;
};

TEST_P(Corpus, HasValuesAndGradients) {
  CheckRows(GetParam().fields["check"], Defaults(*activation_));
}

TEST_P(Corpus, FollowsItsParameters) {
  if (!GetParam().fields.contains("check_alt")) return;
  const json& alternative = GetParam().fields["check_alt"];
  std::vector<double> parameters;
  for (const Parameter& parameter : activation_->parameters()) {
    parameters.push_back(alternative["params"][parameter.name].get<double>());
  }

  CheckRows(alternative["rows"], parameters);
}

TEST_P(Corpus, HasParameterGradients) {
  if (!GetParam().fields.contains("check_dparams")) return;
  const json& gradients = GetParam().fields["check_dparams"];
  for (size_t i = 0; i < gradients.size(); ++i) {
    const json& row = GetParam().fields["check"][i];
    const auto all = row.get<std::vector<double>>();
    const std::vector<double> inputs(
        all.begin(), all.begin() + activation_->inputs().size());
    for (const auto& [name, want] : gradients[i].items()) {
      ExpectNear(Gradient(name, inputs, Defaults(*activation_)), want,
                 want.get<double>(), name + " at " + row.dump());
    }
  }
}

std::vector<Entry> Entries() {
  std::ifstream file(ACTSERVE_CORPUS);
  std::vector<Entry> entries;
  for (const json& fields : json::parse(file)) entries.push_back({fields});
  return entries;
}

INSTANTIATE_TEST_SUITE_P(
    All, Corpus, ::testing::ValuesIn(Entries()), [](const auto& info) {
      return info.param.fields["name"].template get<std::string>();
    });

}  // namespace
}  // namespace actserve
