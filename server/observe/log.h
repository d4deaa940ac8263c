#ifndef ACTSERVE_SERVER_OBSERVE_LOG_H_
#define ACTSERVE_SERVER_OBSERVE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace actserve {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogValue = std::variant<std::string, int64_t, double>;

// Where the log goes and from which level on: "debug", "info", "warning" or
// "error". Until it is called, "info". Thread-safe.
//   InvalidArgument  no such level
absl::Status SetLogLevel(absl::string_view level);

bool IsLogged(LogLevel level);

// Writes one line to stderr: a JSON object with "time" (RFC 3339, UTC),
// "level", "event" and the fields. Values are escaped, and bytes that are not
// UTF-8 replaced, so nothing that a client sends can end the line or the
// string. Tensor data never belongs here. Thread-safe.
void LogEvent(
    LogLevel level, absl::string_view event,
    std::initializer_list<std::pair<absl::string_view, LogValue>> fields = {});

// The line that LogEvent() writes, without its newline.
std::string FormatEvent(
    LogLevel level, absl::string_view event,
    std::initializer_list<std::pair<absl::string_view, LogValue>> fields);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OBSERVE_LOG_H_
