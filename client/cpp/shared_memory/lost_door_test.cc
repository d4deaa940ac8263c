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

// Listens at the control socket of a server, and answers nobody unless it is
// told to.
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
    if (ring_ != nullptr) munmap(ring_, sizeof(Ring));
    unlink(path_.c_str());
  }

  // Takes a client and one call of it: writes nonsense to all its outputs, as a
  // server may that is about to write them, and is gone.
  void TakeOneCall() {
    thread_ = std::thread([this] { Run(); });
  }
  // Gives a client a ring, and does nothing more.
  void TakeNoCalls() {
    thread_ = std::thread([this] { Greet(); });
  }
  // Takes a client, one region and one call, and answers no more.
  void TakeAndStandStill() {
    thread_ = std::thread([this] {
      Greet();
      AwaitCall(/*max_regions=*/1);
    });
  }
  // Writes to the outputs of the call, late.
  void GoOn() {
    thread_.join();
    Write();
  }
  bool has_written() const { return has_written_; }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(10);

  // Waits for a packet, and returns the descriptor that came with it.
  Descriptor Receive() {
    pollfd polled = {socket_.get(), POLLIN, 0};
    poll(&polled, 1, static_cast<int>(kPatience / absl::Milliseconds(1)));
    auto packet = shared_memory::ReceivePacket(socket_.get());
    EXPECT_TRUE(packet.ok()) << packet.status();
    return packet.ok() ? std::move(packet->descriptor) : Descriptor();
  }

  void Reply(uint32_t region, int fd) {
    v1::ControlReply reply;
    reply.set_version(shared_memory::kVersion);
    reply.set_region(region);
    EXPECT_TRUE(
        shared_memory::SendPacket(socket_.get(), reply.SerializeAsString(), fd)
            .ok());
  }

  void Greet() {
    socket_ = Descriptor(accept(listener_.get(), nullptr, nullptr));
    Receive();
    const Descriptor ring(memfd_create("test-ring", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(ring.get(), sizeof(Ring)), 0);
    void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                              MAP_SHARED, ring.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    ring_ = new (memory) Ring;
    Reply(0, ring.get());
  }

  void Run() {
    Greet();
    AwaitCall(/*max_regions=*/10);
    Write();
    socket_ = Descriptor();
  }

  void AwaitCall(size_t max_regions) {
    const absl::Time end = absl::Now() + kPatience;
    while (ring_->num_published == 0 && absl::Now() < end) {
      pollfd polled = {socket_.get(), POLLIN, 0};
      if (poll(&polled, 1, 1) == 0 || regions_.size() == max_regions) continue;
      regions_.push_back(Receive());
      Reply(static_cast<uint32_t>(regions_.size()), -1);
    }
  }

  void Write() {
    const shared_memory::Request& request =
        ring_->slots[ring_->order[0]].request;
    for (uint32_t i = 0; i < request.num_outputs; ++i) {
      const shared_memory::Piece& output = request.outputs[i];
      const std::string nonsense(output.size_bytes, '\7');
      has_written_ =
          pwrite(regions_.at(output.region - 1).get(), nonsense.data(),
                 nonsense.size(), static_cast<off_t>(output.offset)) > 0;
    }
  }

  const std::string path_;
  const Descriptor listener_;
  Descriptor socket_;
  Ring* ring_ = nullptr;
  std::vector<Descriptor> regions_;
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

// Each call waited a second for an answer, one after the other.
TEST_F(LostDoorTest, IsAskedOnceByAllCalls) {
  LostDoor door(server_->unix_address());
  door.TakeNoCalls();
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      const std::vector<float> x(100'000, 2);
      std::vector<float> y(x.size());
      const absl::Status status =
          client_->Forward("relu", {View(x)}, MutableBytes(y));
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(x, y);
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

// A call that nobody waits for any more may be answered when the client has
// given up that server and uses its memory for others.
TEST_F(LostDoorTest, WritesNowhereElseWhenItGoesOn) {
  constexpr size_t kCount = 100'000;
  const std::vector<float> x(kCount, 2), large(20 << 20, 2);
  std::vector<float> y(kCount), large_y(large.size());
  LostDoor door(server_->unix_address());
  door.TakeAndStandStill();
  CallOptions options;
  options.timeout = absl::Milliseconds(100);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->Forward("relu", {View(x)}, MutableBytes(y), options)));
  // Needs another region, and finds out that the server does not answer.
  ASSERT_TRUE(
      client_->Forward("relu", {View(large)}, MutableBytes(large_y)).ok());
  ASSERT_TRUE(client_->Forward("relu", {View(x)}, MutableBytes(y)).ok());

  std::vector<std::shared_ptr<std::byte[]>> memory;
  for (int i = 0; i < 4; ++i) {
    memory.push_back(client_->Allocate(kCount * sizeof(float)));
    std::memset(memory.back().get(), 0, kCount * sizeof(float));
  }
  door.GoOn();

  EXPECT_TRUE(door.has_written());
  const std::vector<std::byte> zeros(kCount * sizeof(float));
  for (const auto& each : memory) {
    EXPECT_EQ(std::memcmp(each.get(), zeros.data(), zeros.size()), 0);
  }
}

}  // namespace
}  // namespace actserve
