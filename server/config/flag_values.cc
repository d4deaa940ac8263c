#include "server/config/flag_values.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/base/edit_distance.h"
#include "kernels/base/status_macros.h"
#include "server/config/config_file.h"

namespace actserve {
namespace {

constexpr absl::string_view kPrefix = "ACTSERVE_";
// The flags that only the command line and the environment may set.
constexpr absl::string_view kNotInFile[] = {"config", "check"};
// Without the prefix: what the clients, the tests and the scripts read.
constexpr absl::string_view kOfOthers[] = {
    "ADDRESS",    "TOKEN",       "BINARIES",        "BUILD_DIR",
    "CACHE",      "CUDA_DRIVER", "NVRTC",           "RESTARTS",
    "STEPS",      "FRAMEWORKS",  "PEERS",           "VENV",
    "WERROR",     "TLS_CA",      "TLS_SERVER_NAME", "CLIENT_CERT",
    "CLIENT_KEY", "TOKEN_FILE",  "LIBRARY",         "REQUIRED_FRAMEWORKS"};

std::string VariableOf(absl::string_view flag) {
  return absl::StrCat(kPrefix, absl::AsciiStrToUpper(flag));
}

// Kubernetes gives every container variables for the services beside it: for
// one that is called actserve, ACTSERVE_SERVICE_HOST, ACTSERVE_PORT_50051_TCP.
bool IsOfOthers(absl::string_view name) {
  return absl::StartsWith(name, "SERVICE_") || name == "PORT" ||
         (absl::StartsWith(name, "PORT_") && name != "PORT_FILE") ||
         absl::StartsWith(name, "FAKE_") ||
         absl::c_linear_search(kOfOthers, name);
}

// What the arguments say, as far as it must be known before they are parsed.
struct Arguments {
  std::vector<std::string> names;
  std::optional<std::string> config;
  // True for --help, --helpfull, --version and the like.
  bool asks = false;
};

Arguments Scan(int argc, char** argv) {
  Arguments found;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--") break;
    if (!absl::ConsumePrefix(&argument, "-")) continue;
    absl::ConsumePrefix(&argument, "-");
    const size_t equals = argument.find('=');
    const absl::string_view name = argument.substr(0, equals);
    found.names.emplace_back(name);
    found.asks |= absl::StartsWith(name, "help") || name == "version";
    if (name != "config") continue;
    if (equals != absl::string_view::npos) {
      found.config = std::string(argument.substr(equals + 1));
    } else {
      found.config = i + 1 < argc ? argv[i + 1] : "";
    }
  }
  return found;
}

std::string ConfigVariable(const char* const* environment) {
  for (; *environment != nullptr; ++environment) {
    absl::string_view variable = *environment;
    if (absl::ConsumePrefix(&variable, "ACTSERVE_CONFIG=")) {
      return std::string(variable);
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<FlagValues> FlagValues::Load(int argc, char** argv,
                                            const char* const* environment,
                                            absl::string_view source_file) {
  FlagValues values;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!flag->IsRetired() && absl::EndsWith(flag->Filename(), source_file)) {
      values.flags_.emplace(name, flag);
    }
  }
  const Arguments arguments = Scan(argc, argv);
  if (!arguments.asks) {
    // In this order, because the last one wins.
    const std::string config = arguments.config.has_value()
                                   ? *arguments.config
                                   : ConfigVariable(environment);
    if (!config.empty()) ACTSERVE_RETURN_IF_ERROR(values.TakeFile(config));
    ACTSERVE_RETURN_IF_ERROR(values.TakeEnvironment(environment));
  }
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    return InvalidArgument(rest[1], ": not a flag; see --help");
  }
  for (absl::string_view name : arguments.names) {
    if (!values.flags_.contains(std::string(name))) {
      absl::ConsumePrefix(&name, "no");
    }
    if (values.flags_.contains(std::string(name))) {
      values.sources_[std::string(name)] = "command line";
    }
  }
  return values;
}

std::string FlagValues::SourceOf(const std::string& flag) const {
  const auto found = sources_.find(flag);
  return found != sources_.end() ? found->second : "default";
}

absl::Status FlagValues::Locate(const absl::Status& error) const {
  const absl::string_view message = error.message();
  const std::string flag(message.substr(0, message.find(':')));
  const std::string source = SourceOf(flag);
  if (error.ok() || source == "default" || source == "command line") {
    return error;
  }
  return absl::Status(error.code(), absl::StrCat(source, ": ", message));
}

std::string FlagValues::ToText() const {
  std::string text;
  for (const auto& [name, flag] : flags_) {
    if (absl::c_linear_search(kNotInFile, name)) {
      continue;
    }
    absl::StrAppend(&text, name, " = ", flag->CurrentValue(), "  # ",
                    SourceOf(name), "\n");
  }
  return text;
}

absl::Status FlagValues::TakeFile(const std::string& path) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::vector<Setting> settings,
                            ReadConfig(path));
  for (const Setting& setting : settings) {
    const std::string place = absl::StrCat(path, ":", setting.line);
    if (absl::c_linear_search(kNotInFile, setting.name)) {
      return InvalidArgument(place, ": ", setting.name,
                             " cannot be set in a file");
    }
    if (!flags_.contains(setting.name)) {
      return InvalidArgument(place, ": no flag is called ", setting.name,
                             "; see --help");
    }
    ACTSERVE_RETURN_IF_ERROR(Set(setting.name, setting.value, place));
  }
  return absl::OkStatus();
}

absl::Status FlagValues::TakeEnvironment(const char* const* environment) {
  for (; *environment != nullptr; ++environment) {
    absl::string_view variable = *environment;
    if (!absl::ConsumePrefix(&variable, kPrefix)) continue;
    const size_t equals = variable.find('=');
    if (equals == absl::string_view::npos) continue;
    ACTSERVE_RETURN_IF_ERROR(
        TakeVariable(variable.substr(0, equals), variable.substr(equals + 1)));
  }
  return absl::OkStatus();
}

absl::Status FlagValues::TakeVariable(absl::string_view name,
                                      absl::string_view value) {
  // Half of the letters of a short name may be wrong by chance.
  constexpr size_t kShort = 5;
  const std::string flag = absl::AsciiStrToLower(name);
  const std::string variable = absl::StrCat(kPrefix, name);
  if (flags_.contains(flag) && VariableOf(flag) == variable) {
    return Set(flag, value, variable);
  }
  if (IsOfOthers(name)) return absl::OkStatus();
  for (const auto& [known, ignored] : flags_) {
    const int most = known.size() <= kShort ? 1 : 2;
    if (EditDistance(flag, known) <= most) {
      return InvalidArgument(variable, ": no flag has this variable; ",
                             VariableOf(known), " is --", known);
    }
  }
  unknown_variables_.push_back(variable);
  return absl::OkStatus();
}

absl::Status FlagValues::Set(const std::string& flag, absl::string_view value,
                             const std::string& source) {
  std::string why;
  if (!flags_[flag]->ParseFrom(value, &why)) {
    return InvalidArgument(source, ": ", flag, ": ", value, ": ", why);
  }
  sources_[flag] = source;
  return absl::OkStatus();
}

}  // namespace actserve
