// Calls of a client whose server goes, or stands still, at the worst moment. A
// door that the test plays stands beside a real server without one.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "actserve/v1/shared_memory.pb.h"
#include "client/cpp/client.h"
#include "proto/shared_memory/control.h"
#include "proto/shared_memory/ring.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using shared_memory::Descriptor;
using shared_memory::Ring;

// Listens at the control socket of a server. Takes one call: writes nonsense to
// all its outputs, as a server may that is about to write them, and is gone.
class LostDoor {
 public:
  // `backlog`: of connections that wait to be accepted.
  explicit LostDoor(const std::string& unix_address, int backlog = 1)
      : path_(shared_memory::ControlPath(unix_address.substr(strlen("unix:")))),
        listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
    EXPECT_EQ(listen(listener_.get(), backlog), 0);
  }
  ~LostDoor() {
    if (thread_.joinable()) thread_.join();
    unlink(path_.c_str());
  }

  void TakeOneCall() {
    thread_ = std::thread([this] { Run(); });
  }
  bool has_written() const { return has_written_; }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(10);

  void Run() {
    const Descriptor socket(accept(listener_.get(), nullptr, nullptr));
    const Descriptor ring_fd(memfd_create("test-ring", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(ring_fd.get(), sizeof(Ring)), 0);
    void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                              MAP_SHARED, ring_fd.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto* const ring = new (memory) Ring;
    std::vector<Descriptor> regions;
    const absl::Time end = absl::Now() + kPatience;
    while (ring->num_published == 0 && absl::Now() < end) {
      pollfd polled = {socket.get(), POLLIN, 0};
      if (poll(&polled, 1, 1) == 0) continue;
      auto packet = shared_memory::ReceivePacket(socket.get());
      ASSERT_TRUE(packet.ok()) << packet.status();
      v1::ControlReply reply;
      reply.set_version(shared_memory::kVersion);
      const bool is_first = regions.empty() && !packet->descriptor.is_open();
      if (!is_first) {
        regions.push_back(std::move(packet->descriptor));
        reply.set_region(static_cast<uint32_t>(regions.size()));
      }
      ASSERT_TRUE(shared_memory::SendPacket(socket.get(),
                                            reply.SerializeAsString(),
                                            is_first ? ring_fd.get() : -1)
                      .ok());
    }
    const shared_memory::Request& request = ring->slots[ring->order[0]].request;
    for (uint32_t i = 0; i < request.num_outputs; ++i) {
      const shared_memory::Piece& output = request.outputs[i];
      const std::string nonsense(output.size_bytes, '\7');
      has_written_ =
          pwrite(regions.at(output.region - 1).get(), nonsense.data(),
                 nonsense.size(), static_cast<off_t>(output.offset)) > 0;
    }
    munmap(memory, sizeof(Ring));
  }

  const std::string path_;
  const Descriptor listener_;
  std::atomic<bool> has_written_ = false;
  std::thread thread_;
};

class LostDoorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY),
        {"--device=cpu", "--shared_memory=false"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->unix_address());
  }

  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Client> client_;
};

// The call was made again with what the lost server had written over the input,
// and trainers got wrong numbers.
TEST_F(LostDoorTest, LeavesAnInputAsItWasThatIsTheOutputToo) {
  constexpr size_t kCount = 100'000;
  const auto memory = client_->Allocate(kCount * sizeof(float));
  const absl::Span<float> x(reinterpret_cast<float*>(memory.get()), kCount);
  std::fill(x.begin(), x.end(), -3.0F);
  LostDoor door(server_->unix_address());
  door.TakeOneCall();

  const absl::Status status = client_->Forward(
      "relu", {View(x)}, absl::MakeSpan(memory.get(), kCount * sizeof(float)));

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(door.has_written());
  EXPECT_EQ(std::ranges::count(x, 0.0F), kCount);
}

// A server that stands still leaves connections waiting, and a client waited
// with them for ever.
TEST_F(LostDoorTest, IsNotWaitedForWhereNobodyAccepts) {
  const LostDoor door(server_->unix_address(), /*backlog=*/0);
  std::vector<std::unique_ptr<Client>> clients;
  const std::vector<float> x = {-1, 2};
  for (int i = 0; i < 4; ++i) {
    clients.push_back(*Client::Connect(server_->unix_address()));
    std::vector<float> y(2);
    CallOptions options;
    options.timeout = absl::Seconds(30);

    const absl::Time start = absl::Now();
    const absl::Status status =
        clients.back()->Forward("relu", {View(x)}, MutableBytes(y), options);

    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(y[1], 2);
    EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  }
}

// The call may not take longer than it was given.
TEST_F(LostDoorTest, IsNotWaitedForBeyondTheTimeLimitOfACall) {
  const LostDoor door(server_->unix_address());
  const std::vector<float> x = {-1, 2};
  std::vector<float> y(2);
  CallOptions options;
  options.timeout = absl::Milliseconds(100);

  const absl::Time start = absl::Now();
  const absl::Status status =
      client_->Forward("relu", {View(x)}, MutableBytes(y), options);

  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(700));
}

}  // namespace
}  // namespace actserve
