#include "client/load/schedule/trace.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/load/schedule/clock.h"
#include "kernels/base/status_macros.h"
#include "kernels/base/text.h"

namespace actserve {
namespace {

constexpr char kHeader[] = "actload-trace 1";
constexpr double kMaxSeconds = 1e6;

}  // namespace

absl::StatusOr<std::vector<TraceEntry>> ParseTrace(const std::string& text) {
  std::vector<TraceEntry> trace;
  bool has_header = false;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (!has_header) {
      if (line != kHeader) {
        return InvalidArgument("trace, line 1: not \"", kHeader, "\"");
      }
      has_header = true;
      continue;
    }
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    double seconds = 0;
    if (words.size() != 2 || !absl::SimpleAtod(words[0], &seconds)) {
      return InvalidArgument("trace, line ", number, ": ",
                             Quoted({line.data(), line.size()}),
                             " is not SECONDS NAME");
    }
    if (!(seconds >= 0 && seconds <= kMaxSeconds)) {
      return InvalidArgument("trace, line ", number, ": ", words[0],
                             " seconds, limits 0 and ", kMaxSeconds);
    }
    const int64_t nanos = NanosOf(seconds);
    if (!trace.empty() && nanos < trace.back().nanos) {
      return InvalidArgument("trace, line ", number, ": ", words[0],
                             " is before the time of the line above");
    }
    trace.push_back({nanos, words[1]});
  }
  if (trace.empty()) return InvalidArgument("trace: it has no requests");
  return trace;
}

std::string TraceText(const std::vector<TraceEntry>& trace) {
  std::string text = absl::StrCat(kHeader, "\n");
  for (const TraceEntry& entry : trace) {
    absl::StrAppendFormat(&text, "%.9f %s\n", SecondsOfNanos(entry.nanos),
                          entry.request);
  }
  return text;
}

}  // namespace actserve
