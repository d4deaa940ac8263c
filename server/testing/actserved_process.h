#ifndef ACTSERVE_SERVER_TESTING_ACTSERVED_PROCESS_H_
#define ACTSERVE_SERVER_TESTING_ACTSERVED_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace actserve::testing {

// A real actserved as a child process, on a free port and on a unix socket in
// a folder of its own, with its log read as it is written.
class ActservedProcess {
 public:
  // Returns when the server listens.
  //   Unavailable  it ended instead; the message has its last words
  static absl::StatusOr<std::unique_ptr<ActservedProcess>> Start(
      const std::string& binary, const std::vector<std::string>& flags = {});
  // Kills the process if Wait() was not called.
  ~ActservedProcess();

  // "127.0.0.1:<port>" and "unix:<path>".
  const std::string& tcp_address() const { return tcp_address_; }
  const std::string& unix_address() const { return unix_address_; }
  const std::string& folder() const { return folder_; }
  pid_t pid() const { return pid_; }

  void Signal(int number) const;
  // Returns the exit code, or minus the signal that ended the process.
  int Wait();

  // Waits for a log line with this "event". Returns false if the process ends,
  // or a minute passes, without one.
  bool WaitForEvent(const std::string& event);
  // All log lines so far.
  std::vector<std::string> log() const;

 private:
  ActservedProcess() = default;
  void ReadLog(int fd);

  pid_t pid_ = -1;
  std::string folder_;
  std::string tcp_address_;
  std::string unix_address_;
  std::thread reader_;
  mutable absl::Mutex mu_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
  bool log_ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_ACTSERVED_PROCESS_H_
