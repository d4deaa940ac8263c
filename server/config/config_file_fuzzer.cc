// A configuration file and the environment: settings, or an error that names
// the place; flags are set or keep their values.

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "kernels/base/testing/fuzz_target.h"
#include "server/config/config_file.h"
#include "server/config/flag_values.h"

ABSL_FLAG(int, fuzz_count, 1, "");
ABSL_FLAG(absl::Duration, fuzz_delay, absl::Seconds(1), "");
ABSL_FLAG(std::vector<std::string>, fuzz_listen, {}, "");
ABSL_FLAG(bool, fuzz_on, false, "");
ABSL_FLAG(double, fuzz_ratio, 0.5, "");

namespace actserve {
namespace {

void CheckParsing(const std::string& text) {
  const auto settings = ParseConfig(text, "f");
  if (!settings.ok()) {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(settings.status()));
    ACTSERVE_FUZZ_CHECK(absl::StartsWith(settings.status().message(), "f:"));
    return;
  }
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  // Written anew they mean the same.
  std::string again;
  int before = 0;
  for (const Setting& setting : *settings) {
    ACTSERVE_FUZZ_CHECK(!setting.name.empty());
    ACTSERVE_FUZZ_CHECK(setting.line > before);
    ACTSERVE_FUZZ_CHECK(setting.line <= static_cast<int>(lines.size()));
    ACTSERVE_FUZZ_CHECK(
        absl::StrContains(lines[setting.line - 1], setting.value));
    ACTSERVE_FUZZ_CHECK(absl::StripAsciiWhitespace(setting.value) ==
                        setting.value);
    before = setting.line;
    // Behind a space, a value that begins with # would be a comment.
    absl::StrAppend(&again, setting.name, "=", setting.value, "\n");
  }
  const auto same = ParseConfig(again, "f");
  ACTSERVE_FUZZ_CHECK(same.ok() && same->size() == settings->size());
  for (size_t i = 0; i < same->size(); ++i) {
    ACTSERVE_FUZZ_CHECK((*same)[i].name == (*settings)[i].name);
    ACTSERVE_FUZZ_CHECK((*same)[i].value == (*settings)[i].value);
  }
}

// The text as a file and as variables, one a line.
void CheckFlags(const std::string& text) {
  const absl::FlagSaver saver;
  const int file = memfd_create("fuzz", MFD_CLOEXEC);
  ACTSERVE_FUZZ_CHECK(file >= 0);
  ACTSERVE_FUZZ_CHECK(write(file, text.data(), text.size()) ==
                      static_cast<ssize_t>(text.size()));
  std::vector<std::string> variables = {
      absl::StrCat("ACTSERVE_CONFIG=/proc/self/fd/", file)};
  // As the system does, which has no zeros in them.
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    variables.emplace_back(line.substr(0, line.find('\0')));
  }
  std::vector<const char*> environment;
  environment.reserve(variables.size() + 1);
  for (const std::string& each : variables) environment.push_back(each.c_str());
  environment.push_back(nullptr);
  char program[] = "program";
  char* argv[] = {program, nullptr};

  const auto values = FlagValues::Load(1, argv, environment.data(),
                                       "config/config_file_fuzzer.cc");

  if (values.ok()) {
    ACTSERVE_FUZZ_CHECK(ParseConfig(values->ToText(), "f").ok());
  } else {
    ACTSERVE_FUZZ_CHECK(absl::IsInvalidArgument(values.status()) ||
                        absl::IsFailedPrecondition(values.status()));
    ACTSERVE_FUZZ_CHECK(!values.status().message().empty());
  }
  close(file);
}

ACTSERVE_FUZZ_TARGET(config) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckParsing(text);
  CheckFlags(text);
}

}  // namespace
}  // namespace actserve
