#include "server/testing/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace actserve::testing {
namespace {

// Between fork() and exec() in a process of many threads: allocates nothing.
[[noreturn]] void RunChild(char* const argv[], int log_fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  dup2(log_fd, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

std::vector<std::string> ReadTcpAddresses(const std::string& port_file) {
  std::ifstream file(port_file);
  std::vector<std::string> addresses;
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, "unix:")) addresses.push_back(line);
  }
  return addresses;
}

}  // namespace

std::string BinaryOfBuild(const std::string& path) {
  const char* const moved = std::getenv("ACTSERVE_BINARIES");
  if (moved == nullptr) return path;
  return std::filesystem::path(moved) / std::filesystem::path(path).filename();
}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const std::string& binary, const std::vector<std::string>& flags) {
  std::string folder = std::filesystem::temp_directory_path() / "serverXXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot make ", folder));
  }
  auto process = std::unique_ptr<ServerProcess>(new ServerProcess);
  process->folder_ = folder;
  process->port_file_ = absl::StrCat(folder, "/ports");
  const std::string socket = absl::StrCat(folder, "/server.sock");
  process->unix_address_ = absl::StrCat("unix:", socket);
  std::vector<std::string> arguments = {
      binary, "--listen=127.0.0.1:0", "--cache_directory=none",
      absl::StrCat("--unix_socket=", socket),
      absl::StrCat("--port_file=", process->port_file_)};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
    return absl::UnavailableError("cannot make a pipe");
  }
  const pid_t parent = getpid();
  process->pid_ = fork();
  if (process->pid_ == 0) RunChild(argv.data(), pipe_fds[1], parent);
  close(pipe_fds[1]);
  process->reader_ = std::thread(
      [raw = process.get(), fd = pipe_fds[0]] { raw->ReadLog(fd); });
  if (process->pid_ < 0) return absl::UnavailableError("cannot fork");

  if (process->WaitForEvent("serving")) {
    process->tcp_addresses_ = ReadTcpAddresses(process->port_file_);
  }
  if (process->tcp_addresses_.empty()) {
    return absl::UnavailableError(absl::StrCat(
        binary, " does not listen: ", absl::StrJoin(process->log(), "\n")));
  }
  return process;
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  if (reader_.joinable()) reader_.join();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ServerProcess::Signal(int number) const { kill(pid_, number); }

void ServerProcess::Pause() const {
  Signal(SIGSTOP);
  siginfo_t info = {};
  waitid(P_PID, pid_, &info, WSTOPPED | WNOWAIT);
}

int ServerProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool ServerProcess::WaitForEvent(const std::string& event) {
  const std::string wanted = absl::StrCat("\"event\":\"", event, "\"");
  const auto found = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const std::string& line : log_) {
      if (absl::StrContains(line, wanted)) return true;
    }
    return false;
  };
  const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return log_ended_ || found();
  };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&done), absl::Minutes(1));
  return found();
}

std::vector<std::string> ServerProcess::log() const {
  absl::MutexLock lock(&mutex_);
  return log_;
}

void ServerProcess::ReadLog(int fd) {
  std::FILE* file = fdopen(fd, "r");
  char* line = nullptr;
  size_t capacity = 0;
  while (true) {
    const ssize_t length = getline(&line, &capacity, file);
    absl::MutexLock lock(&mutex_);
    if (length < 0) {
      log_ended_ = true;
      break;
    }
    if (length > 0 && line[length - 1] == '\n') line[length - 1] = '\0';
    log_.emplace_back(line);
  }
  std::free(line);
  std::fclose(file);
}

}  // namespace actserve::testing
