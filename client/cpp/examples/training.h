#ifndef ACTSERVE_CLIENT_CPP_EXAMPLES_TRAINING_H_
#define ACTSERVE_CLIENT_CPP_EXAMPLES_TRAINING_H_

#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cpp/client.h"
#include "client/cpp/examples/digits.h"

namespace actserve::examples {

inline constexpr int kEpochs = 12;
inline constexpr int kBatch = 64;
inline constexpr float kRate = 0.1f;
// The gradient of spiky does not see its jumps: only small steps descend.
inline constexpr float kRateOfSpiky = 0.02f;

// What a training ends with.
struct Training {
  // The mean loss of each batch, in the order of steps.
  std::vector<float> step_losses;
  // The learned parameters of the activation, if it has some.
  std::vector<float> beta;
  // The part of the test pictures that is recognized, 0 to 1.
  double test_accuracy = 0;
};

// Trains pixels -> dense -> activation -> dense -> softmax by plain gradient
// descent, from the weights of `digits`, without chance: equal bits of the
// activation give equal bits of everything. `activation` is a name of
// Hidden::Create(). `report` is called after each epoch, counted from 1, with
// the mean loss of its pictures.
absl::StatusOr<Training> Train(
    Client& client, const Digits& digits, std::string_view activation,
    const std::function<void(int epoch, double loss)>& report);

}  // namespace actserve::examples

#endif  // ACTSERVE_CLIENT_CPP_EXAMPLES_TRAINING_H_
