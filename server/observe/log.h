#ifndef ACTSERVE_SERVER_OBSERVE_LOG_H_
#define ACTSERVE_SERVER_OBSERVE_LOG_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace actserve {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogValue = std::variant<std::string, int64_t, double>;
using LogField = std::pair<absl::string_view, LogValue>;

// Sets the least severe level that is logged: "debug", "info", "warning" or
// "error". The default is "info". Thread-safe.
//   InvalidArgument  no such level
absl::Status SetLogLevel(absl::string_view level);

bool IsLogged(LogLevel level);

// Writes one line to stderr: a JSON object with "time" (RFC 3339, UTC),
// "level", "event" and the fields. Escapes values and replaces bytes that are
// not UTF-8, so nothing that a client sends can end the line or the string.
// Never log what a client sent: no text, name, message, tensor or token; a
// well-formed request id is the exception.
// Thread-safe.
void LogEvent(LogLevel level, absl::string_view event,
              absl::Span<const LogField> fields = {});

// Returns the line that LogEvent() would write, without its newline.
std::string FormatEvent(LogLevel level, absl::string_view event,
                        absl::Span<const LogField> fields);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OBSERVE_LOG_H_
