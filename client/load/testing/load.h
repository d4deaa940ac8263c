// What the benchmarks of servers share: servers, clients, calls of relu. They
// measure servers that answer, so whatever fails ends the program.

#ifndef ACTSERVE_CLIENT_LOAD_TESTING_LOAD_H_
#define ACTSERVE_CLIENT_LOAD_TESTING_LOAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "client/cpp/client.h"
#include "server/testing/server_process.h"

namespace actserve {

// Prints the program's name and `message`, and ends with exit code 1.
[[noreturn]] void Fail(const std::string& message);

// A caller's tensors: x normally distributed, the same for all; y for relu(x).
struct ReluTensors {
  explicit ReluTensors(int64_t size_bytes);

  // Returns whether every element of y is relu(x).
  bool IsRight() const;

  std::vector<float> x;
  std::vector<float> y;
};

// "4 KiB", "1 MiB".
std::string SizeName(int64_t size_bytes);

std::unique_ptr<testing::ServerProcess> StartServer(
    const std::string& binary, const std::vector<std::string>& flags);

// By default tensors are sent.
std::unique_ptr<Client> Connect(const std::string& address,
                                const Client::Options& options = {
                                    .shared_memory = false});

// Computes y.
void Forward(Client& client, ReluTensors& tensors);

double SecondsOf(absl::FunctionRef<void()> call);

// Calls again and again; returns the seconds of each call.
std::vector<double> RunBlock(absl::FunctionRef<void()> call, int num_calls);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_TESTING_LOAD_H_
