#include "server/rpc/library_log.h"

#include <cstddef>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "server/observe/line_limit.h"
#include "server/observe/log.h"

namespace actserve {

namespace {

// A stranger can make gRPC log as often as it likes: a failed handshake, or a
// call with malformed metadata.
constexpr int kHandshakesPerSecond = 1;
constexpr int kLinesPerSecond = 10;
constexpr size_t kMaxMessageBytes = 512;

void LogLimited(LineLimit& limit, LogLevel level, absl::string_view event,
                absl::string_view field, absl::string_view message) {
  if (!IsLogged(level) || !limit.Allow(absl::Now())) return;
  LogEvent(level, event,
           {{field, std::string(message.substr(0, kMaxMessageBytes))},
            {"left_out", limit.TakeNumLeftOut()}});
}

void LogLibrary(LogLevel level, absl::string_view message) {
  static auto* const handshakes = new LineLimit(kHandshakesPerSecond);
  static auto* const lines = new LineLimit(kLinesPerSecond);
  if (absl::StartsWith(message, "Handshake failed")) {
    LogLimited(*handshakes, LogLevel::kWarning, "tls_handshake_failed",
               "reason", message);
  } else {
    LogLimited(*lines, level, "grpc", "message", message);
  }
}

}  // namespace

void CaptureLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    const LogLevel level =
        args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kError
        : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                  : LogLevel::kDebug;
    LogLibrary(level, args->message);
  });
  google::protobuf::SetLogHandler(nullptr);
}

}  // namespace actserve
