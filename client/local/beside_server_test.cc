// Client::Local() beside a server: their answers must be equal.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

std::vector<float> Numbers(int64_t count, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

TEST(LocalBesideServer, HasTheBitsOfAServer) {
  const auto client = Client::Local({.cache_directory = "none"});
  ASSERT_TRUE(client.ok()) << client.status();
  Client& here_client = **client;
  auto server = testing::ServerProcess::Start(
      testing::BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto remote = *Client::Connect((*server)->tcp_address());
  const auto activations = here_client.ListActivations();
  ASSERT_TRUE(activations.ok()) << activations.status();
  for (const v1::Activation& activation : *activations) {
    SCOPED_TRACE(activation.name());
    const int64_t size = 20'000;
    BackwardCall call;
    call.activation = activation.name();
    std::vector<std::vector<float>> inputs;
    std::vector<std::vector<float>> here;
    for (int i = 0; i < activation.inputs_size(); ++i) {
      inputs.push_back(Numbers(size, i));
      here.emplace_back(size);
    }
    std::vector<std::vector<float>> there = here;
    for (const auto& input : inputs) call.inputs.push_back(View(input));
    if (activation.reads_rows()) call.options.axis = 0;
    const auto gradients = [&](Client& client,
                               std::vector<std::vector<float>>& to) {
      call.wrt.clear();
      for (int i = 0; i < activation.inputs_size(); ++i) {
        call.wrt.push_back({activation.inputs(i), MutableBytes(to[i])});
      }
      for (const auto& parameter : activation.parameters()) {
        if (parameter.name() != "seed") {
          call.wrt.push_back({parameter.name(), {}});
        }
      }
      return client.Backward(call);
    };

    const auto local = gradients(here_client, here);
    const auto served = gradients(*remote, there);

    ASSERT_TRUE(local.ok()) << local.status();
    ASSERT_TRUE(served.ok()) << served.status();
    EXPECT_EQ(local->program_id, served->program_id);
    for (size_t i = 0; i < here.size(); ++i) {
      EXPECT_EQ(
          std::memcmp(here[i].data(), there[i].data(), size * sizeof(float)),
          0);
    }
    EXPECT_EQ(local->parameter_gradients.size(),
              served->parameter_gradients.size());
    for (const auto& [name, value] : local->parameter_gradients) {
      const double other = served->parameter_gradients.at(name);
      EXPECT_EQ(std::memcmp(&value, &other, sizeof(value)), 0) << name;
    }
  }
}

}  // namespace
}  // namespace actserve
