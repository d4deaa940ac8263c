#include "server/rpc/library_log.h"

#include <string>

#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "server/observe/log.h"

namespace actserve {

void CaptureLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    const LogLevel level =
        args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kError
        : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                  : LogLevel::kDebug;
    LogEvent(level, "grpc", {{"message", std::string(args->message)}});
  });
  google::protobuf::SetLogHandler(nullptr);
}

}  // namespace actserve
