// Trains a network of two layers on handwritten digits, three times: with an
// activation of one's own, a built-in, and one that is learned.

#include <cstdio>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "client/cpp/client.h"
#include "client/cpp/examples/digits.h"
#include "client/cpp/examples/training.h"
#include "proto/default_address.h"

ABSL_FLAG(std::string, server, "",
          "address of the server, or local; empty: $ACTSERVE_ADDRESS, else the "
          "default socket, else local");
ABSL_FLAG(bool, shared_memory, true,
          "share memory with a server at a unix socket");
ABSL_FLAG(std::string, digits, ACTSERVE_DIGITS,
          "folder of digits.u8 and weights.f32");

namespace {

using actserve::Client;

absl::StatusOr<std::unique_ptr<Client>> Connect() {
  std::string server = absl::GetFlag(FLAGS_server);
  if (server.empty()) server = actserve::DefaultAddress();
  if (server.empty() || server == "local") return Client::Local();
  return Client::Connect(server,
                         {.shared_memory = absl::GetFlag(FLAGS_shared_memory)});
}

absl::Status Run() {
  const auto digits =
      actserve::examples::ReadDigits(absl::GetFlag(FLAGS_digits));
  if (!digits.ok()) return digits.status();
  const auto client = Connect();
  if (!client.ok()) return client.status();
  for (const char* const name : {"spiky", "gelu", "swish"}) {
    const auto training = actserve::examples::Train(
        **client, *digits, name, [name](int epoch, double loss) {
          std::printf("%s  epoch %2d  loss %.6f\n", name, epoch, loss);
        });
    if (!training.ok()) return training.status();
    std::printf("%s: test accuracy %.4f\n", name, training->test_accuracy);
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "trains on handwritten digits: train_digits [--server=ADDRESS]");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_digits: %s\n", status.ToString().c_str());
  return 1;
}
