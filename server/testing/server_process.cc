#include "server/testing/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace actserve {
namespace {

// The TCP addresses in `port_file`, none if it is not written yet: it appears
// with all lines in it.
std::vector<std::string> ReadTcpAddresses(const std::string& port_file) {
  std::ifstream file(port_file);
  std::vector<std::string> addresses;
  std::string line;
  while (std::getline(file, line)) {
    if (!file.eof() && line.rfind("unix:", 0) != 0) addresses.push_back(line);
  }
  return addresses;
}

[[noreturn]] void RunChild(const std::vector<std::string>& arguments,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const std::string& binary, const std::vector<std::string>& flags) {
  std::string folder = std::filesystem::temp_directory_path() / "serverXXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot make ", folder));
  }
  auto process = std::unique_ptr<ServerProcess>(new ServerProcess);
  process->folder_ = folder;
  const std::string socket = folder + "/server.sock";
  const std::string port_file = folder + "/ports";
  std::vector<std::string> arguments = {binary, "--listen=127.0.0.1:0",
                                        "--unix_socket=" + socket,
                                        "--port_file=" + port_file};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const pid_t parent = getpid();
  process->pid_ = fork();
  if (process->pid_ == 0) RunChild(arguments, parent);
  if (process->pid_ < 0) return absl::UnavailableError("cannot fork");

  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (process->tcp_addresses_.empty()) {
    int status = 0;
    if (waitpid(process->pid_, &status, WNOHANG) == process->pid_) {
      process->pid_ = -1;
      return absl::UnavailableError(
          absl::StrCat(binary, " ended with status ", status));
    }
    if (absl::Now() > deadline) {
      return absl::UnavailableError(absl::StrCat(binary, " does not listen"));
    }
    absl::SleepFor(absl::Milliseconds(5));
    process->tcp_addresses_ = ReadTcpAddresses(port_file);
  }
  process->unix_address_ = "unix:" + socket;
  return process;
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace actserve
