// A server whose listener is stuck ends, so that an orchestrator starts it
// again. Takes the half minute that the server waits first.

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/end_to_end/calls.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

// Stops one thread of a child process, as a debugger does, until the process
// ends.
class StoppedThread {
 public:
  StoppedThread(pid_t process, const std::string& name) {
    const std::string folder = absl::StrCat("/proc/", process, "/task");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream file(entry.path() / "comm");
      std::string found;
      if (std::getline(file, found) && found == name) {
        thread_ = std::stoi(entry.path().filename());
      }
    }
    is_stopped_ = thread_ > 0 && ptrace(PTRACE_SEIZE, thread_, 0, 0) == 0 &&
                  ptrace(PTRACE_INTERRUPT, thread_, 0, 0) == 0;
  }

  bool is_stopped() const { return is_stopped_; }

  // Waits for the end of the process, which in its turn waits for this.
  void AwaitEnd() const {
    int status = 0;
    while (waitpid(thread_, &status, __WALL) == thread_ && !WIFEXITED(status) &&
           !WIFSIGNALED(status)) {
    }
  }

 private:
  pid_t thread_ = 0;
  bool is_stopped_ = false;
};

TEST(ListenerDead, EndsTheProcess) {
  const auto server =
      ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), {"--device=cpu"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub =
      v1::ActivationService::NewStub(ChannelTo((*server)->tcp_address()));
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub, ForwardOf("relu", {1}), &response).ok());

  const StoppedThread acceptor((*server)->pid(), "acceptor");
  if (!acceptor.is_stopped()) GTEST_SKIP() << "threads cannot be traced here";

  EXPECT_TRUE((*server)->WaitForEvent("listener_dead"));
  // Who is connected is still served.
  EXPECT_TRUE(Forward(*stub, ForwardOf("relu", {1}), &response).ok());
  acceptor.AwaitEnd();
  EXPECT_EQ((*server)->Wait(), 71);
}

}  // namespace
}  // namespace actserve::testing
