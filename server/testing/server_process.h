#ifndef ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_
#define ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actserve {

// A server running as a child process, for benchmarks and tests. It ends with
// this object, or with the process that started it.
class ServerProcess {
 public:
  // Runs `binary`, which must take actserved's flags --listen, --unix_socket
  // and --port_file, on a free port and on a socket in a folder of its own;
  // returns when it listens on both.
  //   Unavailable  it ended, or did not listen within 30 s
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const std::string& binary, const std::vector<std::string>& flags = {});
  ~ServerProcess();

  // "127.0.0.1:<port>".
  const std::string& tcp_address() const { return tcp_addresses_[0]; }
  // All addresses, if a flag asked for more.
  const std::vector<std::string>& tcp_addresses() const {
    return tcp_addresses_;
  }
  // "unix:<path>".
  const std::string& unix_address() const { return unix_address_; }
  pid_t pid() const { return pid_; }

 private:
  ServerProcess() = default;

  pid_t pid_ = -1;
  std::string folder_;
  std::vector<std::string> tcp_addresses_;
  std::string unix_address_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TESTING_SERVER_PROCESS_H_
