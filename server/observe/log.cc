#include "server/observe/log.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace actserve {
namespace {

struct Level {
  absl::string_view name;
  spdlog::level::level_enum spdlog_level;
};

// In the order of LogLevel.
constexpr Level kLevels[] = {{"debug", spdlog::level::debug},
                             {"info", spdlog::level::info},
                             {"warning", spdlog::level::warn},
                             {"error", spdlog::level::err}};

const Level& InfoOf(LogLevel level) {
  return kLevels[static_cast<size_t>(level)];
}

spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    return new spdlog::logger("actserved", std::move(sink));
  }();
  return *logger;
}

}  // namespace

absl::Status SetLogLevel(absl::string_view level) {
  for (const Level& known : kLevels) {
    if (known.name == level) {
      Logger().set_level(known.spdlog_level);
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "log_level: ", level, " is none of debug, info, warning, error"));
}

bool IsLogged(LogLevel level) {
  return Logger().should_log(InfoOf(level).spdlog_level);
}

void LogEvent(LogLevel level, absl::string_view event,
              absl::Span<const LogField> fields) {
  if (!IsLogged(level)) return;
  Logger().log(InfoOf(level).spdlog_level, FormatEvent(level, event, fields));
}

std::string FormatEvent(LogLevel level, absl::string_view event,
                        absl::Span<const LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::Now(),
                                  absl::UTCTimeZone());
  line["level"] = std::string(InfoOf(level).name);
  line["event"] = std::string(event);
  for (const auto& [key, value] : fields) {
    std::visit([&](const auto& v) { line[std::string(key)] = v; }, value);
  }
  return line.dump(-1, ' ', /*ensure_ascii=*/true,
                   nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace actserve
