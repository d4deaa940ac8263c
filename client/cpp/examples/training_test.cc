#include "client/cpp/examples/training.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "client/cpp/examples/hidden.h"
#include "server/testing/server_process.h"

namespace actserve::examples {
namespace {

class TrainingTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto digits = ReadDigits(ACTSERVE_DIGITS);
    ASSERT_TRUE(digits.ok()) << digits.status();
    digits_ = *std::move(digits);
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto local = Client::Local({.cache_directory = "none"});
    ASSERT_TRUE(local.ok()) << local.status();
    local_ = *std::move(local);
  }

  Training TrainWith(Client& client) {
    losses_.clear();
    auto training =
        Train(client, digits_, GetParam(), [this](int epoch, double loss) {
          losses_.push_back(loss);
          EXPECT_EQ(losses_.size(), epoch);
        });
    EXPECT_TRUE(training.ok()) << training.status();
    return training.ok() ? *std::move(training) : Training();
  }

  Digits digits_;
  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Client> local_;
  // Of each epoch.
  std::vector<double> losses_;
};

INSTANTIATE_TEST_SUITE_P(Activations, TrainingTest,
                         ::testing::Values("spiky", "gelu", "swish"),
                         [](const auto& info) { return info.param; });

TEST_P(TrainingTest, TheNetworkLearns) {
  const Training training = TrainWith(*local_);

  ASSERT_EQ(losses_.size(), kEpochs);
  EXPECT_NEAR(training.step_losses[0], std::log(10), 0.1);
  const bool is_hard = std::string(GetParam()) == "spiky";
  EXPECT_LT(losses_.back(), (is_hard ? 0.9 : 0.2) * losses_.front());
  EXPECT_GT(training.test_accuracy, is_hard ? 0.7 : 0.95);
}

TEST_P(TrainingTest, EveryDistanceGivesTheSameBits) {
  const Training local = TrainWith(*local_);
  ASSERT_EQ(local.step_losses.size(), 23 * kEpochs);
  struct Way {
    std::string name;
    absl::StatusOr<std::unique_ptr<Client>> client;
  };
  Way ways[] = {
      {"shared memory", Client::Connect(server_->unix_address())},
      {"unix socket",
       Client::Connect(server_->unix_address(), {.shared_memory = false})},
      {"TCP", Client::Connect(server_->tcp_address())},
  };

  for (Way& way : ways) {
    SCOPED_TRACE(way.name);
    ASSERT_TRUE(way.client.ok()) << way.client.status();
    const Training training = TrainWith(**way.client);

    EXPECT_EQ(training.step_losses, local.step_losses);
    EXPECT_EQ(training.beta, local.beta);
    EXPECT_EQ(training.test_accuracy, local.test_accuracy);
  }
}

// The inputs are sent again, and give the same gradients.
TEST_P(TrainingTest, AServerWithoutRoomForResidualsGivesTheSameLosses) {
  const auto server =
      testing::ServerProcess::Start(testing::BinaryOfBuild(ACTSERVED_BINARY),
                                    {"--device=cpu", "--max_residual_bytes=1"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto client = Client::Connect((*server)->tcp_address());
  ASSERT_TRUE(client.ok()) << client.status();

  EXPECT_EQ(TrainWith(**client).step_losses, TrainWith(*local_).step_losses);
}

TEST(Hidden, AnUnknownActivationIsNamed) {
  const auto client = Client::Local({.cache_directory = "none"});
  ASSERT_TRUE(client.ok()) << client.status();

  const auto hidden = Hidden::Create(**client, "gelux", 1);

  EXPECT_EQ(hidden.status(),
            absl::InvalidArgumentError(
                "activation gelux, must be spiky, gelu or swish"));
}

}  // namespace
}  // namespace actserve::examples
