#include "client/load/testing/load.h"

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace actserve {

void Fail(const std::string& message) {
  std::cerr << program_invocation_short_name << ": " << message << "\n";
  std::exit(1);
}

ReluTensors::ReluTensors(int64_t size_bytes)
    : x(size_bytes / sizeof(float)), y(x.size()) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& element : x) element = normal(random);
}

bool ReluTensors::IsRight() const {
  for (size_t i = 0; i < x.size(); ++i) {
    if (y[i] != std::max(x[i], 0.0f)) return false;
  }
  return true;
}

std::string SizeName(int64_t size_bytes) {
  return size_bytes < 1 << 20 ? absl::StrCat(size_bytes >> 10, " KiB")
                              : absl::StrCat(size_bytes >> 20, " MiB");
}

std::unique_ptr<testing::ServerProcess> StartServer(
    const std::string& binary, const std::vector<std::string>& flags) {
  auto server = testing::ServerProcess::Start(binary, flags);
  if (!server.ok()) Fail(server.status().ToString());
  return *std::move(server);
}

std::unique_ptr<Client> Connect(const std::string& address,
                                const Client::Options& options) {
  auto client = Client::Connect(address, options);
  if (!client.ok()) Fail(client.status().ToString());
  return *std::move(client);
}

void Forward(Client& client, ReluTensors& tensors) {
  const absl::Status status =
      client.Forward("relu", {View(tensors.x)}, MutableBytes(tensors.y));
  if (!status.ok()) {
    Fail(absl::StrCat(client.address(), ": ", status.ToString()));
  }
}

double SecondsOf(absl::FunctionRef<void()> call) {
  const absl::Time start = absl::Now();
  call();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

std::vector<double> RunBlock(absl::FunctionRef<void()> call, int num_calls) {
  std::vector<double> seconds;
  for (int i = 0; i < num_calls; ++i) seconds.push_back(SecondsOf(call));
  return seconds;
}

}  // namespace actserve
