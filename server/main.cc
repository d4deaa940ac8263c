// actserved: the process around a server, with flags, signals and exit codes.
// --help (flags.cc) lists the exit codes.

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/base/process_options.h"
#include "kernels/base/status_macros.h"
#include "server/check.h"
#include "server/config/build_info.h"
#include "server/config/version.h"
#include "server/flags.h"
#include "server/observe/log.h"
#include "server/options.h"
#include "server/rpc/library_log.h"
#include "server/server.h"
#include "server/tracing/grpc/otlp_exporter.h"

namespace actserve {
namespace {

// The exit codes if only a new process helps; an orchestrator starts it. Of
// sysexits.h: EX_UNAVAILABLE and EX_OSERR.
constexpr int kDeviceLostExitCode = 69;
constexpr int kListenerDeadExitCode = 71;
// The signal that the server then sends to its own process.
constexpr int kLostSignal = SIGUSR1;
// Time for calls to be answered with UNAVAILABLE.
constexpr absl::Duration kLostDrainTimeout = absl::Seconds(2);
// Time for everything after the drain.
constexpr absl::Duration kEndTimeout = absl::Milliseconds(900);
// Limit on the bytes of names from the environment in one line of the log.
constexpr size_t kMaxLoggedNames = 1024;

int ExitCodeOf(Server::Loss loss) {
  switch (loss) {
    case Server::Loss::kNone:
      return 0;
    case Server::Loss::kDevice:
      return kDeviceLostExitCode;
    case Server::Loss::kListener:
      return kListenerDeadExitCode;
  }
  return 1;
}

// Blocks the signals, so that only main() waits for them. Call it before any
// thread starts.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, kLostSignal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // A file at its limit (ulimit -f): the write fails, as on a full disk.
  signal(SIGXFSZ, SIG_IGN);
  return signals;
}

// Raises the limit on descriptors to what the system allows. Returns the limit.
int64_t RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int64_t>(limit.rlim_cur);
}

// Writes the file so that it appears complete: a waiting reader may read it at
// once.
absl::Status WritePortFile(const std::string& path, const Server& server) {
  const std::string draft = absl::StrCat(path, ".new");
  std::remove(draft.c_str());  // whatever it is: a FIFO would wait
  std::ofstream file(draft);
  for (const std::string& address : server.addresses()) {
    file << address << '\n';
  }
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("port_file: cannot write ", path,
                                               ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

// Ends the process at the latest in `timeout`, whatever holds it up. A server
// that drains cannot bound what gRPC does with its last connections.
void EndWithin(absl::Duration timeout, int exit_code) {
  std::thread([timeout, exit_code] {
    absl::SleepFor(timeout);
    LogEvent(LogLevel::kInfo, "stopped", {{"calls_cut_off", int64_t{1}}});
    std::cerr.flush();
    _exit(exit_code);
  }).detach();
}

// Prints what the configuration comes to, if a server can start with it.
absl::Status Check(const Configuration& configuration) {
  ACTSERVE_ASSIGN_OR_RETURN(const std::string device,
                            CheckSurroundings(configuration.options));
  std::cout << configuration.values.ToText() << "# the device is " << device
            << '\n';
  return absl::OkStatus();
}

// Answers SIGHUP. What cannot be read again stays as it was.
void Reload(Server& server) {
  const absl::Status status = server.Reload();
  if (status.ok()) {
    LogEvent(LogLevel::kInfo, "reloaded");
  } else {
    LogEvent(LogLevel::kError, "not_reloaded",
             {{"reason", std::string(status.message())}});
  }
}

// Waits for a signal to stop. Returns its number.
int AwaitEnd(const sigset_t& signals, Server& server) {
  while (true) {
    int number = 0;
    sigwait(&signals, &number);
    if (number == SIGHUP) {
      Reload(server);
    } else if (number != kLostSignal || server.loss() != Server::Loss::kNone) {
      return number;
    }
  }
}

absl::Status Serve(const Configuration& configuration,
                   const sigset_t& signals) {
  const Options& options = configuration.options;
  const int64_t max_descriptors = RaiseDescriptorLimit();
  ACTSERVE_ASSIGN_OR_RETURN(const auto server, Server::Start(options, [] {
                              kill(getpid(), kLostSignal);
                            }));
  if (!options.port_file.empty()) {
    ACTSERVE_RETURN_IF_ERROR(WritePortFile(options.port_file, *server));
  }
  LogEvent(LogLevel::kInfo, "serving",
           {{"version", kVersion},
            {"revision", kRevision},
            {"addresses", absl::StrJoin(server->addresses(), ",")},
            {"metrics", server->metrics_address()},
            {"max_descriptors", max_descriptors}});

  const int signal_number = AwaitEnd(signals, *server);
  LogEvent(LogLevel::kInfo, "draining", {{"signal", int64_t{signal_number}}});
  if (signal_number != kLostSignal) {
    server->StopBeingHealthy();
    const timespec delay = absl::ToTimespec(options.drain_delay);
    sigset_t ends_delay = signals;
    sigdelset(&ends_delay, SIGHUP);
    sigtimedwait(&ends_delay, nullptr, &delay);
  }
  if (server->loss() == Server::Loss::kListener) {
    // Whoever holds up the listener holds up Drain() too. Those who are
    // connected hear of it meanwhile.
    absl::SleepFor(kLostDrainTimeout);
    std::cerr.flush();
    _exit(kListenerDeadExitCode);
  }
  const Server::Loss lost_before = server->loss();
  const absl::Duration drain_timeout = lost_before != Server::Loss::kNone
                                           ? kLostDrainTimeout
                                           : options.drain_timeout;
  const absl::Duration traces_timeout = options.otlp_endpoint.empty()
                                            ? absl::ZeroDuration()
                                            : OtlpExporter::kStopTimeout;
  EndWithin(drain_timeout + kEndTimeout + traces_timeout,
            ExitCodeOf(lost_before));
  const bool complete = server->Drain(drain_timeout);
  LogEvent(LogLevel::kInfo, "stopped",
           {{"calls_cut_off", int64_t{complete ? 0 : 1}}});
  const Server::Loss loss = server->loss();
  if (loss != Server::Loss::kNone || !complete) {
    // Skips destructors, because a lost device may not give back what it holds,
    // and a compilation that runs may take seconds.
    std::cerr.flush();
    _exit(ExitCodeOf(loss));
  }
  return absl::OkStatus();
}

absl::Status Run(const Configuration& configuration, const sigset_t& signals) {
  ACTSERVE_RETURN_IF_ERROR(SetLogLevel(configuration.options.log_level));
  const std::vector<std::string>& unknown =
      configuration.values.unknown_variables();
  if (!unknown.empty()) {
    LogEvent(
        LogLevel::kWarning, "unknown_variables",
        {{"names", absl::StrJoin(unknown, ",").substr(0, kMaxLoggedNames)}});
  }
  return configuration.check ? Check(configuration)
                             : Serve(configuration, signals);
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  CaptureLibraryLogs();
  const sigset_t signals = BlockSignals();
  const auto configuration = ReadConfiguration(argc, argv);
  const absl::Status status =
      configuration.ok()
          ? configuration->values.Locate(Run(*configuration, signals))
          : configuration.status();
  if (status.ok()) return 0;
  std::cerr << "actserved: " << status.message() << '\n';
  return 1;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
