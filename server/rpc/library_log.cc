#include "server/rpc/library_log.h"

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "server/observe/log.h"

namespace actserve {

namespace {

// A stranger can make gRPC log a failed handshake as often as it likes.
bool IsHandshake(absl::string_view message) {
  return absl::StartsWith(message, "Handshake failed");
}

// Logs at most one a second.
void LogHandshake(absl::string_view message) {
  static std::atomic<int64_t> last_second = 0;
  const int64_t second = absl::ToUnixSeconds(absl::Now());
  if (last_second.exchange(second) == second) return;
  LogEvent(LogLevel::kWarning, "tls_handshake_failed",
           {{"reason", std::string(message)}});
}

}  // namespace

void CaptureLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    const LogLevel level =
        args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kError
        : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                  : LogLevel::kDebug;
    if (IsHandshake(args->message)) return LogHandshake(args->message);
    LogEvent(level, "grpc", {{"message", std::string(args->message)}});
  });
  google::protobuf::SetLogHandler(nullptr);
}

}  // namespace actserve
