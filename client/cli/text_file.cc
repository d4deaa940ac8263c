#include "client/cli/text_file.h"

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace actserve {

bool IsTextFile(const std::string& activation) {
  return absl::StrContains(activation, '/') ||
         absl::EndsWith(activation, ".py");
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)),
                   std::istreambuf_iterator<char>());
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return text;
}

absl::StatusOr<v1::RegisterActivationRequest> ToRequest(
    const TextFlags& flags) {
  v1::RegisterActivationRequest request;
  auto text = ReadTextFile(flags.file);
  if (!text.ok()) return text.status();
  request.set_text(*std::move(text));
  if (!flags.derivative_file.empty()) {
    auto derivative = ReadTextFile(flags.derivative_file);
    if (!derivative.ok()) return derivative.status();
    request.set_derivative(*std::move(derivative));
  }
  for (const auto& [name, value] : flags.constants) {
    (*request.mutable_constants())[name] = value;
  }
  request.set_exact(flags.exact);
  return request;
}

absl::Status DoesNotCompile(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, " does not compile"));
}

absl::StatusOr<std::unique_ptr<Client>> ConnectTo(const ServerFlags& server) {
  Client::Options options;
  options.timeout = absl::Seconds(server.timeout_seconds);
  return Client::Connect(server.address, options);
}

}  // namespace actserve
