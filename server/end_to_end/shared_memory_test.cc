// Clients of shared memory that keep no rules: each gets an error or loses its
// connection, and the server and everybody else go on.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/shared_memory/futex.h"
#include "server/end_to_end/calls.h"
#include "server/testing/ring_peer.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using shared_memory::kMaxOutputs;
using shared_memory::kMaxPieces;
using shared_memory::kNumSlots;
using shared_memory::kSlotBytes;
using shared_memory::Operation;
using shared_memory::Piece;
using shared_memory::Request;
using ::testing::AllOf;
using testing::ForwardOf;
using ::testing::HasSubstr;
using testing::MakeRegion;
using testing::RingPeer;
using testing::ServerProcess;

constexpr int kInvalidArgument = 3;
constexpr int kResourceExhausted = 8;
constexpr int kFailedPrecondition = 9;
constexpr size_t kRegionBytes = 1 << 20;

class SharedMemory : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }

  void Start(std::vector<std::string> flags) {
    flags.push_back("--device=cpu");
    auto server =
        ServerProcess::Start(testing::BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Somebody else is served: over gRPC, and by a ring of its own.
  void ExpectOthersAreServed() {
    const auto stub = v1::ActivationService::NewStub(
        testing::ChannelTo(server_->tcp_address()));
    v1::ForwardResponse response;
    EXPECT_TRUE(
        testing::Forward(*stub, ForwardOf("relu", {-1, 2}), &response).ok());
    EXPECT_EQ(response.payload(0), testing::BytesOf<float>({0, 2}));
    Peer other = NewPeer();
    ASSERT_TRUE(other->Greet());
    const float x[] = {-1, 2};
    const Request request = other->ReluRequest(0, {.size_bytes = sizeof(x)});
    std::memcpy(
        other->ring().slots[0].bytes.data() + request.pieces[0].size_bytes, x,
        sizeof(x));
    ASSERT_TRUE(other->Call(0, request));
    EXPECT_EQ(other->ErrorOf(0).code(), 0) << other->ErrorOf(0).message();
  }

  using Peer = std::unique_ptr<RingPeer>;
  Peer NewPeer() { return std::make_unique<RingPeer>(server_->unix_address()); }
  // One with a ring, and with region 1.
  Peer NewPeerWithRegion() {
    Peer peer = NewPeer();
    EXPECT_TRUE(peer->Greet());
    region_ = MakeRegion(kRegionBytes, F_SEAL_SHRINK);
    EXPECT_EQ(peer->Offer(region_.get()), 1);
    memory_ =
        static_cast<float*>(mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE,
                                 MAP_SHARED, region_.get(), 0));
    return peer;
  }
  void TearDown() override {
    if (memory_ != nullptr) munmap(memory_, kRegionBytes);
  }

  // The message of the error that a control request gets.
  static std::string RefusalOf(RingPeer& peer,
                               const v1::ControlRequest& request, int code,
                               int fd = -1) {
    const auto reply = peer.Ask(request, fd);
    if (!reply) return "no reply";
    EXPECT_EQ(reply->error().code(), code);
    return reply->error().message();
  }
  static std::string RefusalOfRegion(RingPeer& peer, int fd,
                                     int code = kInvalidArgument) {
    v1::ControlRequest request;
    request.mutable_offer_region();
    return RefusalOf(peer, request, code, fd);
  }

  // The descriptors that the server has open.
  int NumDescriptors() const {
    int count = 0;
    for ([[maybe_unused]] const auto& each :
         std::filesystem::directory_iterator(
             absl::StrCat("/proc/", server_->pid(), "/fd"))) {
      ++count;
    }
    return count;
  }

  std::unique_ptr<ServerProcess> server_;
  shared_memory::Descriptor region_;
  float* memory_ = nullptr;
};

TEST_F(SharedMemory, TheControlSocketTakesNothingElse) {
  v1::ControlRequest offer;
  offer.mutable_offer_region();
  EXPECT_EQ(RefusalOf(*NewPeer(), offer, kFailedPrecondition),
            "say hello first");
  v1::ControlRequest old;
  old.mutable_hello()->set_version(99);
  EXPECT_THAT(RefusalOf(*NewPeer(), old, kFailedPrecondition),
              HasSubstr("version 99"));
  Peer twice = NewPeer();
  ASSERT_TRUE(twice->Greet());
  old.mutable_hello()->set_version(shared_memory::kVersion);
  EXPECT_EQ(RefusalOf(*twice, old, kInvalidArgument), "a second hello");
  v1::ControlRequest unknown;
  unknown.ParseFromString("\x98\x06\x01");  // a field of a later version
  EXPECT_THAT(RefusalOf(*twice, unknown, kInvalidArgument),
              HasSubstr("no known kind"));

  for (const std::string& packet :
       {std::string(), std::string("\xff\xff\xff"), std::string(9000, 'x')}) {
    Peer peer = NewPeer();
    ASSERT_TRUE(peer->Greet());
    peer->Send(packet);
    EXPECT_TRUE(peer->AwaitClosed());
  }
  ExpectOthersAreServed();
}

TEST_F(SharedMemory, ARegionIsSealedMemoryOfTheCallers) {
  Peer peer = NewPeer();
  ASSERT_TRUE(peer->Greet());

  EXPECT_THAT(RefusalOfRegion(*peer, -1), HasSubstr("needs a descriptor"));
  EXPECT_THAT(RefusalOfRegion(*peer, MakeRegion(4096, 0).get()),
              HasSubstr("sealed against shrinking"));
  EXPECT_THAT(RefusalOfRegion(*peer, MakeRegion(0, F_SEAL_SHRINK).get()),
              HasSubstr("must not be empty"));
  EXPECT_THAT(RefusalOfRegion(
                  *peer, MakeRegion(4096, F_SEAL_SHRINK | F_SEAL_WRITE).get()),
              HasSubstr("must be writable"));
  const shared_memory::Descriptor writable = MakeRegion(4096, F_SEAL_SHRINK);
  const shared_memory::Descriptor read_only(
      open(absl::StrCat("/proc/self/fd/", writable.get()).c_str(), O_RDONLY));
  EXPECT_THAT(RefusalOfRegion(*peer, read_only.get()),
              HasSubstr("must be writable"));
  const shared_memory::Descriptor file(open("/dev/zero", O_RDWR));
  EXPECT_THAT(RefusalOfRegion(*peer, file.get()), HasSubstr("must be a memfd"));
  // Most systems make such memory even if they have none of it to map.
  const shared_memory::Descriptor huge(
      memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (huge.is_open()) {
    ASSERT_EQ(ftruncate(huge.get(), 2 << 20), 0);
    ASSERT_EQ(fcntl(huge.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    EXPECT_THAT(RefusalOfRegion(*peer, huge.get()), HasSubstr("of huge pages"));
  }
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  EXPECT_THAT(RefusalOfRegion(*peer, pipe_fds[0]),
              HasSubstr("must be a memfd"));
  if (geteuid() == 0) {
    const shared_memory::Descriptor other = MakeRegion(4096, F_SEAL_SHRINK);
    ASSERT_EQ(fchown(other.get(), 12345, 12345), 0);
    EXPECT_THAT(RefusalOfRegion(*peer, other.get(), /*code=*/7),
                HasSubstr("belongs to user 12345"));
  }
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  ExpectOthersAreServed();
}

TEST_F(SharedMemory, TenThousandOffers) {
  Peer peer = NewPeerWithRegion();
  const int before = NumDescriptors();

  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(peer->Offer(region_.get()), 1) << i;
  }
  std::vector<shared_memory::Descriptor> many;
  int num_taken = 1, num_refused = 0;
  for (int i = 0; i < 200; ++i) {
    many.push_back(MakeRegion(4096, F_SEAL_SHRINK));
    (peer->Offer(many.back().get()) != 0 ? num_taken : num_refused) += 1;
  }

  EXPECT_EQ(num_taken, 64);
  EXPECT_EQ(num_refused, 137);
  EXPECT_LE(NumDescriptors(), before + 2);
  ExpectOthersAreServed();
}

TEST_F(SharedMemory, BytesAndClientsAreBounded) {
  Start(
      {"--max_shared_memory_bytes=10000000", "--max_shared_memory_clients=2"});
  Peer first = NewPeer();
  ASSERT_TRUE(first->Greet());
  // 4/5 of all at most.
  EXPECT_NE(first->Offer(MakeRegion(7'000'000, F_SEAL_SHRINK).get()), 0);
  EXPECT_THAT(
      RefusalOfRegion(*first, MakeRegion(2'000'000, F_SEAL_SHRINK).get(),
                      kResourceExhausted),
      AllOf(HasSubstr("2000000 bytes"),
            HasSubstr("--max_shared_memory_bytes=10000000")));
  Peer second = NewPeer();
  ASSERT_TRUE(second->Greet());
  EXPECT_NE(second->Offer(MakeRegion(2'000'000, F_SEAL_SHRINK).get()), 0);
  Peer third = NewPeer();
  EXPECT_TRUE(third->AwaitClosed());
  first.reset();
  // Its place and its bytes are given back.
  Peer fourth;
  for (int i = 0; i < 1000; ++i) {
    fourth = NewPeer();
    if (fourth->Greet()) break;
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_NE(fourth->Offer(MakeRegion(5'000'000, F_SEAL_SHRINK).get()), 0);
}

TEST_F(SharedMemory, PlacesOutsideOfARegion) {
  Peer peer = NewPeerWithRegion();
  const auto error_of = [&](const Piece& tensor, const Piece* output) {
    Request request = peer->ReluRequest(0, tensor);
    if (output != nullptr) {
      request.num_outputs = 1;
      request.outputs[0] = *output;
    }
    EXPECT_TRUE(peer->Call(0, request));
    EXPECT_EQ(peer->ErrorOf(0).code(), kInvalidArgument);
    return peer->ErrorOf(0).message();
  };
  const Piece good = {.region = 1, .size_bytes = 4000};

  EXPECT_EQ(
      error_of({.region = 1, .offset = kRegionBytes - 8, .size_bytes = 16},
               nullptr),
      "16 bytes at 1048568 of region 1, which has 1048576");
  EXPECT_THAT(
      error_of({.region = 1, .offset = UINT64_MAX - 7, .size_bytes = 16},
               nullptr),
      HasSubstr("16 bytes at 18446744073709551608"));
  EXPECT_THAT(error_of({.region = 1, .size_bytes = UINT64_MAX}, nullptr),
              HasSubstr("18446744073709551615 bytes at 0"));
  EXPECT_EQ(error_of({.region = 2, .size_bytes = 16}, nullptr), "no region 2");
  const Piece outside = {
      .region = 1, .offset = kRegionBytes, .size_bytes = 4000};
  EXPECT_THAT(error_of(good, &outside), HasSubstr("4000 bytes at 1048576"));
  EXPECT_THAT(error_of({.size_bytes = kSlotBytes}, nullptr),
              HasSubstr("more than its 16384 bytes"));
  Request many = peer->ReluRequest(0, good);
  many.num_pieces = kMaxPieces + 1;
  many.num_outputs = kMaxOutputs + 1;
  ASSERT_TRUE(peer->Call(0, many));
  EXPECT_EQ(peer->ErrorOf(0).message(),
            "41 pieces and 21 outputs; limits 40 and 20");
  many = peer->ReluRequest(0, good);
  many.operation = static_cast<Operation>(77);
  ASSERT_TRUE(peer->Call(0, many));
  EXPECT_EQ(peer->ErrorOf(0).message(), "no operation 77");
  many.operation = Operation::kFetch;
  ASSERT_TRUE(peer->Call(0, many));
  EXPECT_EQ(peer->ErrorOf(0).code(), kFailedPrecondition);
  ExpectOthersAreServed();
}

TEST_F(SharedMemory, OutputsThatOverlap) {
  Peer peer = NewPeerWithRegion();
  constexpr size_t kCount = 8192;
  for (size_t i = 0; i < kCount; ++i) memory_[i] = static_cast<float>(i) - 3000;
  const std::vector<float> x(memory_, memory_ + kCount);
  Request request =
      peer->ReluRequest(0, {.region = 1, .size_bytes = kCount * sizeof(float)});
  request.num_outputs = 1;
  // Half a tensor further.
  request.outputs[0] = {.region = 1,
                        .offset = kCount / 2 * sizeof(float),
                        .size_bytes = kCount * sizeof(float)};

  ASSERT_TRUE(peer->Call(0, request));

  EXPECT_EQ(peer->ErrorOf(0).code(), 0) << peer->ErrorOf(0).message();
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(memory_[kCount / 2 + i], std::max(x[i], 0.0F)) << i;
  }
}

TEST_F(SharedMemory, WhoBreaksTheRulesOfTheRingLosesIt) {
  const std::vector<std::function<void(RingPeer&)>> breaks = {
      [](RingPeer& peer) { peer.Publish(kNumSlots); },
      [](RingPeer& peer) { peer.Publish(UINT32_MAX); },
      // More than there are slots.
      [](RingPeer& peer) {
        peer.ring().num_published = peer.ring().num_published + 1000;
        shared_memory::Wake(peer.ring().num_published);
      },
      // Backwards.
      [](RingPeer& peer) {
        peer.ring().num_published = peer.ring().num_published - 1;
        shared_memory::Wake(peer.ring().num_published);
      },
  };
  for (const auto& break_rules : breaks) {
    Peer peer = NewPeer();
    ASSERT_TRUE(peer->Greet());
    break_rules(*peer);
    EXPECT_TRUE(peer->AwaitClosed());
    EXPECT_EQ(peer->ring().is_closed, 1);
  }
  ExpectOthersAreServed();
}

// Everything in the ring and the region changes all the time.
TEST_F(SharedMemory, BytesThatChangeWhileTheyAreRead) {
  const absl::Time end = absl::Now() + absl::Seconds(2);
  std::mt19937 random(7);
  int num_rings = 0;
  int64_t num_answers = 0;
  while (absl::Now() < end) {
    if (memory_ != nullptr) munmap(memory_, kRegionBytes);
    Peer peer = NewPeerWithRegion();
    ++num_rings;
    std::atomic<bool> stopped = false;
    std::thread disturber([&] {
      std::mt19937 own(num_rings);
      while (!stopped) {
        auto& slot = peer->ring().slots[own() % 4];
        auto* const request = reinterpret_cast<uint32_t*>(&slot.request);
        request[own() % (sizeof(Request) / 4)] =
            own() % 3 == 0 ? own() : own() % 64;
        auto* const reply = reinterpret_cast<uint32_t*>(&slot.reply);
        reply[own() % (sizeof(shared_memory::Reply) / 4)] = own();
        slot.bytes[own() % 256] = static_cast<std::byte>(own());
        memory_[own() % (kRegionBytes / sizeof(float))] =
            static_cast<float>(own());
      }
    });
    for (int i = 0; i < 200 && peer->IsConnected(); ++i) {
      Request request =
          peer->ReluRequest(i % 4, {.region = 1,
                                    .offset = random() % 5000,
                                    .size_bytes = random() % 300'000 / 4 * 4});
      request.num_outputs = random() % 2;
      request.outputs[0] = {.region = 1,
                            .offset = 500'000,
                            .size_bytes = request.pieces[1].size_bytes};
      if (!peer->Call(i % 4, request)) break;
      ++num_answers;
    }
    stopped = true;
    disturber.join();
  }
  EXPECT_GT(num_answers, 100) << num_rings;
  ExpectOthersAreServed();
}

TEST_F(SharedMemory, AClientThatIsKilledWithinAnEntry) {
  const int before = NumDescriptors();
  for (int round = 0; round < 5; ++round) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      RingPeer peer(server_->unix_address());
      if (!peer.Greet()) _exit(1);
      const auto region = MakeRegion(kRegionBytes, F_SEAL_SHRINK);
      const uint32_t number = peer.Offer(region.get());
      // Calls that run, one that is published by half, and no end.
      for (uint32_t i = 0; i < 8; ++i) {
        peer.ring().slots[i].request =
            peer.ReluRequest(i, {.region = number, .size_bytes = 800'000});
        peer.ring().slots[i].state = 1;
        peer.Publish(i);
      }
      peer.ring().slots[9].request.num_pieces = 3;
      (void)!write(ready[1], "x", 1);
      pause();
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    close(ready[0]);
    close(ready[1]);
    ExpectOthersAreServed();
  }
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (NumDescriptors() > before + 3 && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_LE(NumDescriptors(), before + 3);
}

TEST_F(SharedMemory, AServerThatDrainsEndsItsRings) {
  Peer peer = NewPeerWithRegion();
  ASSERT_TRUE(
      peer->Call(0, peer->ReluRequest(0, {.region = 1, .size_bytes = 4000})));

  server_->Signal(SIGTERM);

  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_FALSE(peer->IsConnected());
  EXPECT_EQ(peer->ring().is_closed, 1);
}

}  // namespace
}  // namespace actserve
