#include "server/testing/actserved_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace actserve::testing {
namespace {

[[noreturn]] void RunChild(std::vector<std::string> arguments, int log_fd,
                           pid_t parent) {
  // The server must not outlive a test that dies.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  dup2(log_fd, STDERR_FILENO);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ActservedProcess>> ActservedProcess::Start(
    const std::string& binary, const std::vector<std::string>& flags) {
  auto process = std::unique_ptr<ActservedProcess>(new ActservedProcess);
  process->folder_ = std::filesystem::temp_directory_path() / "actservedXXXXXX";
  if (mkdtemp(process->folder_.data()) == nullptr) {
    return absl::UnavailableError("cannot make a folder");
  }
  const std::string socket = process->folder_ + "/server.sock";
  const std::string port_file = process->folder_ + "/ports";
  const char* const moved = std::getenv("ACTSERVE_BINARIES");
  std::vector<std::string> arguments = {
      moved != nullptr ? absl::StrCat(moved, "/actserved") : binary,
      "--listen=127.0.0.1:0", "--cache_directory=none",
      absl::StrCat("--unix_socket=", socket),
      absl::StrCat("--port_file=", port_file)};
  arguments.insert(arguments.end(), flags.begin(), flags.end());

  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return absl::UnavailableError("pipe");
  const pid_t parent = getpid();
  process->pid_ = fork();
  if (process->pid_ == 0) RunChild(arguments, pipe_fds[1], parent);
  close(pipe_fds[1]);
  process->reader_ = std::thread(
      [raw = process.get(), fd = pipe_fds[0]] { raw->ReadLog(fd); });

  if (!process->WaitForEvent("serving")) {
    return absl::UnavailableError(absl::StrJoin(process->log(), "\n"));
  }
  std::ifstream(port_file) >> process->tcp_address_;
  process->unix_address_ = absl::StrCat("unix:", socket);
  return process;
}

ActservedProcess::~ActservedProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  if (reader_.joinable()) reader_.join();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ActservedProcess::Signal(int number) const { kill(pid_, number); }

int ActservedProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool ActservedProcess::WaitForEvent(const std::string& event) {
  const std::string wanted = absl::StrCat("\"event\":\"", event, "\"");
  const auto found = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const std::string& line : log_) {
      if (line.find(wanted) != std::string::npos) return true;
    }
    return false;
  };
  const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return log_ended_ || found();
  };
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&done), absl::Minutes(1));
  return found();
}

std::vector<std::string> ActservedProcess::log() const {
  absl::MutexLock lock(&mu_);
  return log_;
}

void ActservedProcess::ReadLog(int fd) {
  std::FILE* file = fdopen(fd, "r");
  char* line = nullptr;
  size_t capacity = 0;
  while (true) {
    const ssize_t length = getline(&line, &capacity, file);
    absl::MutexLock lock(&mu_);
    if (length < 0) {
      log_ended_ = true;
      break;
    }
    log_.emplace_back(line, length > 0 ? length - 1 : 0);
  }
  std::free(line);
  std::fclose(file);
}

}  // namespace actserve::testing
