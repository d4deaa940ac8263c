// What TLS and tokens cost a caller of Forward: relu on servers that differ
// only in these, each through the C++ client over TCP.
//
// Prints a Markdown table. Short blocks of calls to the servers alternate; only
// ratios within one run mean anything.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cpp/client.h"
#include "client/load/testing/load.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "kernels/base/sha256.h"
#include "server/testing/certificates.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using testing::Authority;
using testing::ReplaceFile;

struct Settings {
  int repetitions = 40;
  std::vector<int64_t> payload_bytes = {4 << 10, 1 << 20};
  std::string actserved;
  std::string baseline;
};

// A server and a client of it.
class Contestant {
 public:
  Contestant(std::string name, const std::string& binary,
             const std::vector<std::string>& flags, const Security& security)
      : name_(std::move(name)),
        server_(StartServer(binary, flags)),
        client_(Connect(server_->tcp_address(), {.security = security})) {}

  const std::string& name() const { return name_; }
  std::vector<double>& seconds() { return seconds_; }

  void RunBlock(ReluTensors& tensors, int num_calls) {
    const std::vector<double> seconds =
        actserve::RunBlock([&] { Forward(*client_, tensors); }, num_calls);
    seconds_.insert(seconds_.end(), seconds.begin(), seconds.end());
    if (!tensors.IsRight()) Fail(absl::StrCat(name_, ": relu differs"));
  }

 private:
  const std::string name_;
  const std::unique_ptr<testing::ServerProcess> server_;
  const std::unique_ptr<Client> client_;
  std::vector<double> seconds_;
};

// Where the certificates and the tokens are.
class Folder {
 public:
  Folder() {
    path_ = std::filesystem::temp_directory_path() / "securityXXXXXX";
    if (mkdtemp(path_.data()) == nullptr) Fail("cannot make " + path_);
    const Authority authority("authority");
    const Authority::Pair pair = authority.Sign("server");
    ReplaceFile(path_ + "/ca.pem", authority.cert());
    ReplaceFile(path_ + "/cert.pem", pair.cert);
    ReplaceFile(path_ + "/key.pem", pair.key);
    ReplaceFile(
        path_ + "/tokens.json",
        absl::StrCat("{\"tokens\": [{\"sha256\": \"", Sha256Hex("token"),
                     "\", \"tenant\": \"a\", \"roles\": "
                     "[\"compute\"]}]}"));
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void Measure(std::vector<std::unique_ptr<Contestant>>& contestants,
             int64_t payload_bytes, const Settings& settings) {
  ReluTensors tensors(payload_bytes);
  const int block = payload_bytes <= 64 << 10 ? 50 : 10;
  for (auto& contestant : contestants) {
    contestant->RunBlock(tensors, block);
    contestant->seconds().clear();
  }
  for (int i = 0; i < settings.repetitions; ++i) {
    // Each is as often the first as the others.
    for (size_t k = 0; k < contestants.size(); ++k) {
      contestants[(i + k) % contestants.size()]->RunBlock(tensors, block);
    }
  }
  const double first = Median(contestants[0]->seconds());
  for (auto& contestant : contestants) {
    const std::vector<double>& seconds = contestant->seconds();
    const double median = Median(seconds);
    std::cout << absl::StrFormat("| %s | %s | %.0f | %.0f | %.0f | %.2f |\n",
                                 SizeName(payload_bytes), contestant->name(),
                                 median * 1e6, Quantile(seconds, 0.99) * 1e6,
                                 1 / median, median / first);
  }
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  Settings settings;
  settings.actserved =
      std::filesystem::canonical("/proc/self/exe").parent_path() / "actserved";
  CLI::App app("Compares Forward of relu with and without TLS and tokens.");
  app.add_option("--repetitions", settings.repetitions,
                 "Blocks of calls to each server")
      ->capture_default_str();
  app.add_option("--payload_bytes", settings.payload_bytes,
                 "Sizes of the tensor, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--actserved", settings.actserved, "The server")
      ->capture_default_str();
  app.add_option("--baseline", settings.baseline,
                 "Another build of the server, to compare without TLS and "
                 "tokens");
  CLI11_PARSE(app, argc, argv);

  const Folder folder;
  const std::string tokens =
      absl::StrCat("--tokens=", folder.File("tokens.json"));
  const std::string cert = absl::StrCat("--tls_cert=", folder.File("cert.pem"));
  const std::string key = absl::StrCat("--tls_key=", folder.File("key.pem"));
  Security with_token;
  with_token.token = "token";
  Security with_tls;
  with_tls.tls_ca = folder.File("ca.pem");
  Security with_both = with_tls;
  with_both.token = "token";
  std::vector<std::unique_ptr<Contestant>> contestants;
  const auto add = [&](const std::string& name, const std::string& binary,
                       std::vector<std::string> flags,
                       const Security& security) {
    flags.push_back("--device=cpu");
    contestants.push_back(
        std::make_unique<Contestant>(name, binary, flags, security));
  };
  if (!settings.baseline.empty()) add("baseline", settings.baseline, {}, {});
  add("plain", settings.actserved, {}, {});
  add("token", settings.actserved, {tokens}, with_token);
  add("TLS", settings.actserved, {cert, key}, with_tls);
  add("TLS and token", settings.actserved, {cert, key, tokens}, with_both);
  std::cout << "| tensor | server | p50 us | p99 us | calls/s | p50 to the "
               "first |\n|---|---|---|---|---|---|\n";
  for (const int64_t payload_bytes : settings.payload_bytes) {
    Measure(contestants, payload_bytes, settings);
  }
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
