#include "kernels/codegen/cuda/text_files.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace actserve {

// Defined in the file that embed_texts.cmake writes.
extern const TextFile kTextFiles[];
extern const int kTextFilesSize;

namespace {

constexpr char kMathFolder[] = "kernels/math/";

struct Header {
  std::string bare;
  // The headers of kernels/math, in order of inclusion.
  std::vector<std::string> includes;
};

bool IsGuard(absl::string_view line) {
  return absl::StartsWith(line, "#") &&
         absl::StrContains(line, "ACTSERVE_KERNELS_");
}

Header Read(absl::string_view text) {
  Header header;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "#include \"")) {
      line.remove_suffix(1);
      header.includes.emplace_back(line);
      continue;
    }
    if (IsGuard(line)) continue;
    // No text has a string with two slashes in it.
    line = absl::StripTrailingAsciiWhitespace(line.substr(0, line.find("//")));
    if (!line.empty()) absl::StrAppend(&header.bare, line, "\n");
  }
  return header;
}

const std::map<std::string, Header>& Headers() {
  static const auto* const headers = [] {
    auto* all = new std::map<std::string, Header>;
    for (int i = 0; i < kTextFilesSize; ++i) {
      (*all)[kTextFiles[i].path] = Read(kTextFiles[i].text);
    }
    return all;
  }();
  return *headers;
}

// The path of the header that defines `symbol`, or "".
std::string Definer(const std::string& symbol) {
  static const auto* const definers = [] {
    auto* all = new std::map<std::string, std::string>;
    for (const auto& [path, header] : Headers()) {
      if (!absl::StartsWith(path, kMathFolder)) continue;
      for (absl::string_view line : absl::StrSplit(header.bare, '\n')) {
        const size_t begin = line.find("actserve_");
        if (!absl::StartsWith(line, "ACTSERVE_MATH") ||
            begin == absl::string_view::npos) {
          continue;
        }
        const absl::string_view name = line.substr(begin);
        (*all)[std::string(name.substr(0, name.find('(')))] = path;
      }
    }
    return all;
  }();
  const auto found = definers->find(symbol);
  return found == definers->end() ? "" : found->second;
}

void AppendWithIncludes(const std::string& path,
                        std::vector<std::string>& paths) {
  const auto found = Headers().find(path);
  if (found == Headers().end() ||
      std::find(paths.begin(), paths.end(), found->first) != paths.end()) {
    return;
  }
  for (const std::string& include : found->second.includes) {
    AppendWithIncludes(include, paths);
  }
  paths.push_back(found->first);
}

}  // namespace

const std::string& BareText(const std::string& path) {
  static const std::string* const none = new std::string;
  const auto found = Headers().find(path);
  return found == Headers().end() ? *none : found->second.bare;
}

std::vector<std::string> MathHeadersFor(
    const std::vector<std::string>& symbols) {
  std::vector<std::string> paths;
  for (const std::string& symbol : symbols) {
    AppendWithIncludes(Definer(symbol), paths);
  }
  return paths;
}

}  // namespace actserve
