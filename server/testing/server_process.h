#ifndef ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_
#define ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace actserve::testing {

// `path`, a program of this build; where $ACTSERVE_BINARIES is set, the file of
// that name in that folder, for tests that run where they were not built.
std::string BinaryOfBuild(const std::string& path);

// A server as a child process, for tests and benchmarks. It listens on free
// ports and on a socket in a folder of its own, and its log is read as it is
// written. The child ends with this object, or with the thread that started
// it. Waiting and reading the log are thread-safe.
class ServerProcess {
 public:
  // Runs `binary`, which is actserved or takes its flags --listen,
  // --unix_socket, --port_file and --cache_directory and writes the event
  // "serving" to standard error. Its cache on disk is off unless `flags`, which
  // come last, say otherwise. Returns when the server listens.
  //   Unavailable  it ended, or did not listen within a minute; the message has
  //                its last words
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const std::string& binary, const std::vector<std::string>& flags = {});
  // Kills the child, if Wait() was not called, and removes the folder.
  ~ServerProcess();

  // "127.0.0.1:<port>".
  const std::string& tcp_address() const { return tcp_addresses_[0]; }
  // More than one if a flag --listen asked for more.
  const std::vector<std::string>& tcp_addresses() const {
    return tcp_addresses_;
  }
  // "unix:<path>".
  const std::string& unix_address() const { return unix_address_; }
  // Where it writes the addresses it listens on, one a line.
  const std::string& port_file() const { return port_file_; }
  pid_t pid() const { return pid_; }

  void Signal(int number) const;
  // Stops it, and returns when every thread stands still. SIGCONT lets it go
  // on.
  void Pause() const;
  // Waits for the end. Returns the exit code; minus the signal that ended it.
  // At most once.
  int Wait();

  // Waits for a line of the log with this "event". Returns false if the process
  // ends, or a minute passes, without one.
  bool WaitForEvent(const std::string& event);
  // All lines so far.
  std::vector<std::string> log() const;

 private:
  ServerProcess() = default;
  void ReadLog(int fd);

  pid_t pid_ = -1;
  std::string folder_;
  std::vector<std::string> tcp_addresses_;
  std::string unix_address_;
  std::string port_file_;
  std::thread reader_;
  mutable absl::Mutex mutex_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  bool log_ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_
