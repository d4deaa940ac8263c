#include "kernels/lang/diagnostic.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "kernels/base/edit_distance.h"
#include "kernels/base/text.h"
#include "kernels/base/unicode.h"

namespace actserve {
namespace {

// Texts come from strangers: neither the list nor a rendered line may grow
// without bound.
constexpr size_t kMaxDiagnostics = 100;
constexpr size_t kMaxNameBytes = 64;
constexpr int kMaxLineBytes = 120;

std::string_view SeverityName(Diagnostic::Severity severity) {
  switch (severity) {
    case Diagnostic::Severity::kError:
      return "error";
    case Diagnostic::Severity::kWarning:
      return "warning";
    case Diagnostic::Severity::kNote:
      return "note";
  }
  return "error";
}

// Line number `line` of `text`, without its end.
std::string_view LineOf(std::string_view text, int line) {
  size_t begin = 0;
  for (; line > 1; --line) {
    size_t end = text.find_first_of("\r\n", begin);
    if (end == std::string_view::npos) return "";
    begin = end + 1;
    if (text[end] == '\r' && begin < text.size() && text[begin] == '\n') {
      ++begin;
    }
  }
  std::string_view rest = text.substr(begin);
  return rest.substr(0, rest.find_first_of("\r\n"));
}

// `text` with every character that is neither printable ASCII nor a letter of
// a name replaced by '?', so that it is valid UTF-8 and shows what it has,
// whatever a stranger wrote and wherever a long name was cut.
std::string Printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    uint32_t code_point = 0;
    const int length = std::max(DecodeUtf8(text, code_point), 1);
    const char c = text[0];
    const bool printable = (c >= 0x20 && c < 0x7F) || c == '\t' || c == '\n' ||
                           (length > 1 && IsLetter(code_point));
    shown += printable ? std::string(text.substr(0, length)) : "?";
    text.remove_prefix(length);
  }
  return shown;
}

bool IsContinuationByte(char c) { return (c & 0xC0) == 0x80; }

// The source line and the caret line.
void AppendExcerpt(std::string_view line, int column, std::string& out) {
  int caret = std::min<int>(column - 1, static_cast<int>(line.size()));
  int begin = 0;
  if (static_cast<int>(line.size()) > kMaxLineBytes) {
    begin = std::max(0, caret - kMaxLineBytes / 2);
    line = line.substr(begin, kMaxLineBytes);
    caret -= begin;
  }
  std::string pad;
  for (int i = 0; i < std::min<int>(caret, line.size()); ++i) {
    if (!IsContinuationByte(line[i])) pad += line[i] == '\t' ? '\t' : ' ';
  }
  out += Concat("    ", Printable(line), "\n    ", pad, "^\n");
}

}  // namespace

void Diagnostics::Error(Position position, std::string message) {
  Add({Diagnostic::Severity::kError, position, std::move(message)});
}

void Diagnostics::Warning(Position position, std::string message) {
  Add({Diagnostic::Severity::kWarning, position, std::move(message)});
}

void Diagnostics::Note(Position position, std::string message) {
  Add({Diagnostic::Severity::kNote, position, std::move(message)});
}

void Diagnostics::Add(Diagnostic diagnostic) {
  diagnostic.message = Printable(diagnostic.message);
  if (diagnostic.severity == Diagnostic::Severity::kError) ++num_errors_;
  if (list_.size() == kMaxDiagnostics) {
    diagnostic.message = "too many problems: the rest is not shown";
  }
  if (list_.size() <= kMaxDiagnostics) list_.push_back(std::move(diagnostic));
}

std::string Diagnostics::Render() const {
  std::vector<const Diagnostic*> sorted;
  sorted.reserve(list_.size());
  for (const Diagnostic& diagnostic : list_) sorted.push_back(&diagnostic);
  std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) {
    return std::pair(a->position.line, a->position.column) <
           std::pair(b->position.line, b->position.column);
  });
  std::string out;
  for (const Diagnostic* diagnostic : sorted) {
    out += Concat(diagnostic->position.line, ":", diagnostic->position.column,
                  ": ", SeverityName(diagnostic->severity), ": ",
                  diagnostic->message, "\n");
    AppendExcerpt(LineOf(text_, diagnostic->position.line),
                  diagnostic->position.column, out);
  }
  return out;
}

std::string NearestName(std::string_view name,
                        const std::vector<std::string>& candidates) {
  if (name.size() > kMaxNameBytes) return "";
  const int limit = std::max<int>(1, static_cast<int>(name.size()) / 4);
  // The least distance, then a beginning of the name, then the nearest length,
  // then the alphabet.
  std::tuple<int, bool, int, std::string> best(limit + 1, false, 0, "");
  for (const std::string& candidate : candidates) {
    const int difference = std::abs(static_cast<int>(candidate.size()) -
                                    static_cast<int>(name.size()));
    if (difference > limit || candidate == name) continue;
    // A one-letter name is a misspelling of nothing.
    if (candidate.size() < 2 || name.size() < 2) continue;
    // A typing error keeps the first letter, or swaps it with the second.
    if (absl::ascii_tolower(candidate[0]) != absl::ascii_tolower(name[0]) &&
        (candidate[0] != name[1] || candidate[1] != name[0])) {
      continue;
    }
    best = std::min(
        best, std::tuple(EditDistance(name, candidate),
                         !name.starts_with(candidate), difference, candidate));
  }
  return std::get<3>(best);
}

}  // namespace actserve
