#include "server/config/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/base/file.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;

absl::string_view WithoutComment(absl::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || absl::ascii_isspace(line[i - 1]))) {
      return line.substr(0, i);
    }
  }
  return line;
}

bool IsName(absl::string_view name) {
  for (char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_') return false;
  }
  return !name.empty();
}

absl::Status CannotRead(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("config: cannot read ", path, ": ", why));
}

}  // namespace

absl::StatusOr<std::vector<Setting>> ParseConfig(absl::string_view text,
                                                 absl::string_view path) {
  std::vector<Setting> settings;
  absl::flat_hash_map<std::string, int> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(WithoutComment(line));
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    const absl::string_view name =
        absl::StripTrailingAsciiWhitespace(line.substr(0, equals));
    if (equals == absl::string_view::npos || !IsName(name)) {
      return InvalidArgument(path, ":", number, ": not of the form ",
                             "name = value");
    }
    const auto [first, is_new] = lines.try_emplace(name, number);
    if (!is_new) {
      return InvalidArgument(path, ":", number, ": ", name,
                             " is set already in line ", first->second);
    }
    settings.push_back({std::string(name),
                        std::string(absl::StripLeadingAsciiWhitespace(
                            line.substr(equals + 1))),
                        number});
  }
  return settings;
}

absl::StatusOr<std::vector<Setting>> ReadConfig(const std::string& path) {
  const ScopedFile file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) {
    return CannotRead(path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) return CannotRead(path, "not a plain file");
  if (status.st_size > kMaxFileBytes) {
    return CannotRead(
        path, absl::StrCat(status.st_size, " bytes, limit ", kMaxFileBytes));
  }
  std::string text(status.st_size, '\0');
  if (!ReadAt(file.get(), 0, text.data(), text.size())) {
    return CannotRead(path, "it became shorter");
  }
  return ParseConfig(text, path);
}

}  // namespace actserve
