// Activations of tests, from texts that are right.

#ifndef ACTSERVE_KERNELS_ACTIVATION_TESTING_MAKE_ACTIVATION_H_
#define ACTSERVE_KERNELS_ACTIVATION_TESTING_MAKE_ACTIVATION_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/activation/activation.h"
#include "kernels/graph/interpret.h"

namespace actserve::testing {

inline constexpr char kSpiky[] = R"(def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
)";

inline std::shared_ptr<const Activation> Make(
    std::string_view text, Activation::Options options = {}) {
  auto activation = Activation::Create(text, options, nullptr);
  EXPECT_TRUE(activation.ok()) << activation.status();
  return activation.ok() ? *activation : nullptr;
}

// Of which the inputs and parameters in `names` broadcast.
inline std::shared_ptr<const Activation> MakeBroadcasting(
    std::string_view text, const std::vector<std::string>& names) {
  const auto activation = Make(text);
  if (activation == nullptr) return nullptr;
  auto broadcasting = activation->WithBroadcasts(names);
  EXPECT_TRUE(broadcasting.ok()) << broadcasting.status();
  return broadcasting.ok() ? *broadcasting : nullptr;
}

// The message of a text that is wrong.
inline std::string ErrorOf(std::string_view text,
                           Activation::Options options = {}) {
  const auto activation = Activation::Create(text, options, nullptr);
  return std::string(activation.status().message());
}

// The only output of `program` at `inputs`, with default parameters.
template <typename T>
T At(const LoweredProgram& program, std::vector<T> inputs) {
  std::vector<T> parameters;
  for (const Parameter& parameter : program.graph.parameters) {
    parameters.push_back(static_cast<T>(parameter.default_value));
  }
  return Evaluate<T>(program.graph, inputs, parameters)[0];
}

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_ACTIVATION_TESTING_MAKE_ACTIVATION_H_
