// A client whose tensors are in the memory of a GPU, and a server that computes
// on that GPU: two processes. With ACTSERVE_TEST_GPU in the environment both
// are on the first GPU of the machine, otherwise over the fake driver.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "server/testing/ring_peer.h"
#include "server/testing/server_process.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

bool OnCard() { return std::getenv("ACTSERVE_TEST_GPU") != nullptr; }

std::vector<std::byte> BytesOf(v1::DType dtype, size_t count, double scale) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < count; ++i) {
    const double number = scale * std::sin(0.37 * static_cast<double>(i));
    const auto single = static_cast<float>(number);
    uint32_t bits;
    std::memcpy(&bits, &single, sizeof(bits));
    // The upper half is a bfloat16; as a float16 it is another number, and no
    // worse a test.
    const auto half = static_cast<uint16_t>(bits >> 16);
    const auto append = [&](const auto& value) {
      const auto* data = reinterpret_cast<const std::byte*>(&value);
      bytes.insert(bytes.end(), data, data + sizeof(value));
    };
    switch (dtype) {
      case v1::DTYPE_FLOAT64:
        append(number);
        break;
      case v1::DTYPE_FLOAT32:
        append(single);
        break;
      default:
        append(half);
    }
  }
  return bytes;
}

// The GPU as the trainer uses it.
class Trainer {
 public:
  Trainer() {
    driver_ = *CudaDriver::Open();
    void* const library = dlopen(driver_->path().c_str(), RTLD_NOW);
    alloc_ =
        reinterpret_cast<decltype(alloc_)>(dlsym(library, "cuMemAlloc_v2"));
    free_ = reinterpret_cast<decltype(free_)>(dlsym(library, "cuMemFree_v2"));
    CuDevice device = 0;
    CuContext context = nullptr;
    Must(cuda().DeviceGet(&device, 0));
    Must(cuda().DevicePrimaryCtxRetain(&context, device));
    Must(cuda().CtxSetCurrent(context));
    Must(cuda().StreamCreate(&stream_, kCuStreamNonBlocking));
  }
  ~Trainer() {
    for (const CuDeviceAddress each : blocks_) free_(each);
    cuda().StreamDestroy(stream_);
  }

  const CuFunctions& cuda() const { return driver_->functions(); }
  CuStream stream() const { return stream_; }

  std::byte* Allocate(size_t size_bytes) {
    CuDeviceAddress address = 0;
    Must(alloc_(&address, size_bytes));
    blocks_.push_back(address);
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<std::byte*>(address);
  }
  void Free(std::byte* block) {
    const auto address = reinterpret_cast<CuDeviceAddress>(block);
    std::erase(blocks_, address);
    Must(free_(address));
  }
  void Write(std::byte* to, absl::Span<const std::byte> bytes) {
    Must(cuda().MemcpyHtoDAsync(reinterpret_cast<CuDeviceAddress>(to),
                                bytes.data(), bytes.size(), stream_));
  }
  std::vector<std::byte> Read(const std::byte* from, size_t size_bytes) {
    std::vector<std::byte> bytes(size_bytes);
    Must(cuda().MemcpyDtoHAsync(bytes.data(),
                                reinterpret_cast<CuDeviceAddress>(from),
                                size_bytes, stream_));
    Finish();
    return bytes;
  }
  void Finish() {
    CuResult result = kCuNotReady;
    while ((result = cuda().StreamQuery(stream_)) == kCuNotReady) {
      absl::SleepFor(absl::Microseconds(50));
    }
    Must(result);
  }

 private:
  static void Must(CuResult result) { ASSERT_EQ(result, kCuSuccess); }

  std::shared_ptr<const CudaDriver> driver_;
  CuResult (*alloc_)(CuDeviceAddress* address, size_t size_bytes) = nullptr;
  CuResult (*free_)(CuDeviceAddress address) = nullptr;
  CuStream stream_ = nullptr;
  std::vector<CuDeviceAddress> blocks_;
};

// Offers the allocation of `trainer` at `memory`.
v1::ControlRequest OfferOf(Trainer& trainer, std::byte* memory) {
  CuUuid uuid = {};
  CuIpcMemHandle handle = {};
  EXPECT_EQ(trainer.cuda().DeviceGetUuid(&uuid, 0), kCuSuccess);
  EXPECT_EQ(trainer.cuda().IpcGetMemHandle(
                &handle, reinterpret_cast<CuDeviceAddress>(memory)),
            kCuSuccess);
  v1::ControlRequest request;
  request.mutable_offer_device_memory()->set_device_uuid(uuid.bytes, 16);
  request.mutable_offer_device_memory()->set_handle(handle.bytes, 64);
  return request;
}

class DeviceMemoryTest : public ::testing::Test {
 protected:
  DeviceMemoryTest() {
    if (OnCard()) return;
    const std::string path = testing::FakeDriver::Path();
    setenv("ACTSERVE_CUDA_DRIVER", path.c_str(), 1);
    setenv("ACTSERVE_NVRTC", path.c_str(), 1);
    unsetenv("FAKE_CUDA");
  }
  void SetUp() override {
    const std::string reason = testing::FakeDriver::WhyNoKernels();
    if (!OnCard() && !reason.empty()) GTEST_SKIP() << reason;
    StartServer({"--device=cuda:0"});
    trainer_ = std::make_unique<Trainer>();
    memory_ = trainer_->Allocate(kBytes);
  }
  void StartServer(std::vector<std::string> flags) {
    if (!OnCard()) flags.insert(flags.begin(), "--pack=none");
    auto server = testing::ServerProcess::Start(
        testing::BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = *Client::Connect(server_->unix_address());
    host_ = *Client::Connect(server_->unix_address(), {.shared_memory = false});
  }
  void Share() {
    const absl::Status shared = client_->ShareDevice(memory_);
    ASSERT_TRUE(shared.ok()) << shared;
  }
  // The server's mappings of device memory of others, over the fake driver.
  int NumOpen() const {
    std::ifstream maps(absl::StrCat("/proc/", server_->pid(), "/maps"));
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
      count += absl::StrContains(line, "fake-device-memory");
    }
    return count;
  }
  bool AwaitNoneOpen() const {
    for (int i = 0; i < 200 && NumOpen() > 0; ++i) {
      absl::SleepFor(absl::Milliseconds(50));
    }
    return NumOpen() == 0;
  }
  // Calls relu on four numbers at `offset`, to another place.
  absl::Status Relu(size_t offset, CallOptions options = {}) {
    const TensorView x = {v1::DTYPE_FLOAT32, {4}, {memory_ + offset, 16}};
    return client_->Forward("relu", {x}, {memory_ + 4096, 16}, options);
  }

  static constexpr size_t kBytes = size_t{8} << 20;
  std::unique_ptr<testing::ServerProcess> server_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client> host_;
  std::byte* memory_ = nullptr;
};

TEST_F(DeviceMemoryTest, GivesTheBitsOfHostTensors) {
  Share();
  const auto gate = client_->RegisterActivation(
      "def gate(x, y, a=0.5):\n    return x * sigmoid(a * y)\n");
  ASSERT_TRUE(gate.ok()) << gate.status();
  const std::string gate_id = gate->activation().id();
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64}) {
    for (const size_t count : {size_t{1}, size_t{1000}, size_t{100'001}}) {
      SCOPED_TRACE(absl::StrCat(v1::DType_Name(dtype), " ", count));
      const auto shape = std::vector<int64_t>{static_cast<int64_t>(count)};
      const std::vector<std::byte> x = BytesOf(dtype, count, 3),
                                   y = BytesOf(dtype, count, 2),
                                   dz = BytesOf(dtype, count, 1);
      const size_t bytes = x.size();
      // One element past a vector's alignment, to see that it needs none.
      std::byte* const at = memory_ + bytes / count;
      const auto place = [&](size_t i) {
        return absl::MakeSpan(at + i * bytes, bytes);
      };
      trainer_->Write(place(0).data(), x);
      trainer_->Write(place(1).data(), y);
      trainer_->Write(place(2).data(), dz);
      const auto view = [&](absl::Span<const std::byte> data) {
        return TensorView{dtype, shape, data};
      };

      ForwardCall forward;
      forward.activation = gate_id;
      forward.inputs = {view(place(0)), view(place(1))};
      forward.output = place(3);
      forward.partials = {{"x", place(4)}, {"y", place(5)}};
      forward.options.device_stream = trainer_->stream();
      const auto on_device = client_->ForwardWith(forward);
      BackwardCall backward;
      backward.activation = gate_id;
      backward.inputs = forward.inputs;
      backward.grad_output = view(place(2));
      backward.wrt = {{"x", place(6)}, {"y", place(7)}, {"a", {}}};
      const auto gradients = client_->Backward(backward);

      std::vector<std::vector<std::byte>> want(8,
                                               std::vector<std::byte>(bytes));
      const auto in = [&](size_t i) { return absl::MakeSpan(want[i]); };
      forward.inputs = {view(x), view(y)};
      forward.options.device_stream.reset();
      forward.output = in(3);
      forward.partials = {{"x", in(4)}, {"y", in(5)}};
      const auto sent = host_->ForwardWith(forward);
      backward.inputs = forward.inputs;
      backward.grad_output = view(dz);
      backward.wrt = {{"x", in(6)}, {"y", in(7)}, {"a", {}}};
      const auto sent_gradients = host_->Backward(backward);

      ASSERT_TRUE(on_device.ok()) << on_device.status();
      ASSERT_TRUE(gradients.ok()) << gradients.status();
      ASSERT_TRUE(sent.ok()) << sent.status();
      ASSERT_TRUE(sent_gradients.ok()) << sent_gradients.status();
      EXPECT_EQ(on_device->device, "cuda:0");
      EXPECT_EQ(gradients->parameter_gradients,
                sent_gradients->parameter_gradients);
      for (size_t i = 3; i < want.size(); ++i) {
        EXPECT_TRUE(trainer_->Read(place(i).data(), bytes) == want[i]) << i;
      }
    }
  }
}

TEST_F(DeviceMemoryTest, Rows) {
  Share();
  const std::vector<std::byte> x = BytesOf(v1::DTYPE_FLOAT32, 30'000, 3);
  trainer_->Write(memory_, x);
  trainer_->Finish();
  std::vector<std::byte> want(x.size());
  for (const int64_t size : {10, 300, 15'000}) {
    CallOptions options;
    options.axis = -1;
    const std::vector<int64_t> shape = {30'000 / size, size};
    std::byte* const y = memory_ + x.size();

    const absl::Status on_device = client_->Forward(
        "softmax", {{v1::DTYPE_FLOAT32, shape, {memory_, x.size()}}},
        {y, x.size()}, options);
    const absl::Status sent =
        host_->Forward("softmax", {{v1::DTYPE_FLOAT32, shape, x}},
                       absl::MakeSpan(want), options);

    ASSERT_TRUE(on_device.ok()) << on_device;
    ASSERT_TRUE(sent.ok()) << sent;
    EXPECT_TRUE(trainer_->Read(y, x.size()) == want) << size;
  }
}

TEST_F(DeviceMemoryTest, BackwardByWhatTheServerKept) {
  Share();
  const std::vector<std::byte> x = BytesOf(v1::DTYPE_FLOAT32, 5000, 3);
  trainer_->Write(memory_, x);
  trainer_->Write(memory_ + x.size(), x);
  trainer_->Finish();
  const auto at = [&](size_t i) {
    return absl::MakeSpan(memory_ + i * x.size(), x.size());
  };
  ForwardCall forward;
  forward.activation = "gelu";
  forward.inputs = {{v1::DTYPE_FLOAT32, {5000}, at(0)}};
  forward.output = at(2);
  forward.keep_residual = true;
  const auto kept = client_->ForwardWith(forward);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_TRUE(kept->residual.has_value());
  BackwardCall backward;
  backward.activation = "gelu";
  backward.residual = kept->residual->handle();
  backward.grad_output = TensorView{v1::DTYPE_FLOAT32, {5000}, at(1)};
  backward.wrt = {{"x", at(3)}};

  const auto by_handle = client_->Backward(backward);
  backward.residual.clear();
  backward.inputs = forward.inputs;
  backward.wrt = {{"x", at(4)}};
  const auto by_inputs = client_->Backward(backward);

  ASSERT_TRUE(by_handle.ok()) << by_handle.status();
  ASSERT_TRUE(by_inputs.ok()) << by_inputs.status();
  EXPECT_TRUE(trainer_->Read(at(3).data(), x.size()) ==
              trainer_->Read(at(4).data(), x.size()));
}

TEST_F(DeviceMemoryTest, WhatCannotBeUsedIsAClearError) {
  // Not shared yet, and not of the GPU at all.
  std::vector<float> host(4, 1);
  EXPECT_THAT(client_->ShareDevice(host.data()).message(),
              HasSubstr("not memory of a GPU"));
  CuDeviceAddress of_pool = 0;
  ASSERT_EQ(trainer_->cuda().MemAllocAsync(&of_pool, 256, trainer_->stream()),
            kCuSuccess);
  trainer_->Finish();
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  const absl::Status pool =
      client_->ShareDevice(reinterpret_cast<const void*>(of_pool));
  EXPECT_TRUE(absl::IsFailedPrecondition(pool)) << pool;
  EXPECT_THAT(pool.message(), HasSubstr("cudaMallocAsync"));
  EXPECT_THAT(host_->ShareDevice(memory_).message(), HasSubstr("unix socket"));
  Share();

  const absl::Status misaligned = Relu(2);
  const absl::Status beyond = Relu(kBytes - 8);
  const absl::Status mixed = client_->Forward(
      "relu", {{v1::DTYPE_FLOAT32, {4}, {memory_, 16}}}, MutableBytes(host));
  const absl::Status other_way =
      client_->Forward("relu", {View(host)}, {memory_, 16});
  const TensorView x = {v1::DTYPE_FLOAT32, {4}, {memory_, 16}};
  const absl::Status in_place = client_->Forward("relu", {x}, {memory_, 16});
  CallOptions split;
  split.split_axis = 0;
  const absl::Status halves =
      client_->Forward("glu", {x}, {memory_ + 64, 8}, split);

  CallOptions narrow;
  narrow.wire_dtype = v1::DTYPE_BFLOAT16;
  const absl::Status narrowed = Relu(0, narrow);

  for (const absl::Status* each : {&misaligned, &beyond, &mixed, &other_way,
                                   &in_place, &halves, &narrowed}) {
    EXPECT_TRUE(absl::IsInvalidArgument(*each)) << *each;
  }
  EXPECT_THAT(misaligned.message(), HasSubstr("no multiple of 4"));
  EXPECT_THAT(beyond.message(), HasSubstr("exceeds the allocation"));
  EXPECT_THAT(mixed.message(), HasSubstr("in device memory"));
  EXPECT_THAT(other_way.message(), HasSubstr("all are, or none"));
  EXPECT_THAT(halves.message(), HasSubstr("in parts"));
  EXPECT_TRUE(Relu(0).ok());
}

TEST_F(DeviceMemoryTest, ACallWithAStreamNeedsTensorsThere) {
  std::vector<float> host(4, 1);
  CallOptions options;
  options.device_stream = trainer_->stream();
  const absl::Status none =
      client_->Forward("relu", {View(host)}, MutableBytes(host), options);
  const absl::Status not_shared = Relu(0, options);
  Share();
  std::byte* const other = trainer_->Allocate(16);
  const absl::Status another = client_->Forward(
      "relu", {{v1::DTYPE_FLOAT32, {4}, {memory_, 16}}}, {other, 16}, options);

  for (const absl::Status* each : {&none, &not_shared, &another}) {
    EXPECT_TRUE(absl::IsInvalidArgument(*each)) << *each;
  }
  EXPECT_THAT(none.message(), HasSubstr("no tensor of the call"));
  EXPECT_THAT(not_shared.message(), HasSubstr("no tensor of the call"));
  EXPECT_THAT(another.message(), HasSubstr("that is not shared"));
  EXPECT_TRUE(Relu(0, options).ok());
}

TEST_F(DeviceMemoryTest, WhatWasFreedIsFoundOut) {
  if (OnCard()) GTEST_SKIP() << "counts what the fake driver maps";
  std::byte* const first = trainer_->Allocate(kBytes);
  ASSERT_TRUE(client_->ShareDevice(first).ok());
  trainer_->Free(first);
  const absl::Status freed = client_->ShareDevice(first);
  EXPECT_TRUE(absl::IsInvalidArgument(freed)) << freed;
  EXPECT_THAT(freed.message(), HasSubstr("or was freed"));
  EXPECT_TRUE(AwaitNoneOpen());

  // Another allocation, perhaps at the same place, is not taken for it.
  std::byte* const second = trainer_->Allocate(kBytes);
  ASSERT_TRUE(client_->ShareDevice(second).ok());
  Share();
  EXPECT_EQ(NumOpen(), 2);
  client_->ForgetDevice(nullptr);
  EXPECT_TRUE(AwaitNoneOpen());
}

TEST_F(DeviceMemoryTest, AServerWithoutItSaysSo) {
  StartServer({"--device=cpu"});
  const absl::Status cpu = client_->ShareDevice(memory_);
  StartServer({"--device=cuda:0", "--shared_device_memory=false"});
  const absl::Status off = client_->ShareDevice(memory_);

  EXPECT_TRUE(absl::IsFailedPrecondition(cpu)) << cpu;
  EXPECT_THAT(cpu.message(), HasSubstr("memory of the host"));
  EXPECT_TRUE(absl::IsFailedPrecondition(off)) << off;
  EXPECT_THAT(off.message(), HasSubstr("--shared_device_memory"));
}

TEST_F(DeviceMemoryTest, ACallWaitsForItsStream) {
  Share();
  const std::vector<std::byte> x = BytesOf(v1::DTYPE_FLOAT32, 2'000'000, 3);
  CallOptions options;
  options.device_stream = trainer_->stream();
  // Each is overwritten by the next: only the last one may be seen.
  for (int i = 0; i < 20; ++i) trainer_->Write(memory_, x);
  const std::byte* const last = x.data() + 32;
  trainer_->Write(memory_, {last, 16});

  const absl::Status called = Relu(0, options);

  ASSERT_TRUE(called.ok()) << called;
  std::vector<float> want(4);
  std::memcpy(want.data(), last, 16);
  for (float& each : want) each = std::max(each, 0.0f);
  std::vector<float> got(4);
  std::memcpy(got.data(), trainer_->Read(memory_ + 4096, 16).data(), 16);
  EXPECT_EQ(got, want);
}

TEST_F(DeviceMemoryTest, ACallWaitsForItsStreamUntilItsDeadlineAtMost) {
  if (OnCard()) GTEST_SKIP() << "only the fake driver hangs when it is told to";
  Share();
  testing::FakeDriver fake;
  fake.Set(testing::FakeKnob::kHangAtAlloc, 1);
  CuDeviceAddress block = 0;
  ASSERT_EQ(trainer_->cuda().MemAllocAsync(&block, 256, trainer_->stream()),
            kCuSuccess);
  CallOptions options;
  options.device_stream = trainer_->stream();
  options.timeout = absl::Milliseconds(200);

  const absl::Status late = Relu(0, options);

  fake.Reset();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  // The server's own streams did not wait.
  EXPECT_TRUE(Relu(0).ok());
}

TEST_F(DeviceMemoryTest, IsClosedWhenItIsForgottenAndWhenTheClientGoes) {
  if (OnCard()) GTEST_SKIP() << "counts what the fake driver maps";
  ASSERT_EQ(NumOpen(), 0);
  Share();
  Share();
  EXPECT_EQ(NumOpen(), 1);
  ASSERT_TRUE(Relu(0).ok());
  client_->ForgetDevice(memory_ + 100);
  EXPECT_TRUE(AwaitNoneOpen());
  Share();
  EXPECT_EQ(NumOpen(), 1);
  client_.reset();
  EXPECT_TRUE(AwaitNoneOpen());
}

TEST_F(DeviceMemoryTest, AKilledClientLeavesNothingBehind) {
  if (OnCard()) GTEST_SKIP() << "counts what the fake driver maps";
  const pid_t child = fork();
  if (child == 0) {
    // Neither gRPC nor the threads of the fake are used here.
    testing::RingPeer peer(server_->unix_address());
    Trainer* const trainer = new Trainer;
    const v1::ControlRequest request =
        OfferOf(*trainer, trainer->Allocate(4096));
    const bool offered =
        peer.Greet() && peer.Ask(request).value_or(v1::ControlReply()).region();
    if (offered) raise(SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << status;

  EXPECT_TRUE(AwaitNoneOpen());
  Share();
  EXPECT_TRUE(Relu(0).ok());
}

TEST_F(DeviceMemoryTest, HostileOffersAndRequests) {
  testing::RingPeer peer(server_->unix_address());
  ASSERT_TRUE(peer.Greet());
  const v1::ControlRequest right = OfferOf(*trainer_, memory_);
  const auto offer = [&](std::string device, std::string bytes) {
    v1::ControlRequest request;
    request.mutable_offer_device_memory()->set_device_uuid(device);
    request.mutable_offer_device_memory()->set_handle(bytes);
    return peer.Ask(request).value_or(v1::ControlReply());
  };
  const std::string device = right.offer_device_memory().device_uuid();
  const std::string good = right.offer_device_memory().handle();

  EXPECT_THAT(offer(device, "short").error().message(),
              HasSubstr("5 bytes, want 64"));
  EXPECT_THAT(offer(device, std::string(64, 'x')).error().message(),
              HasSubstr("does not open"));
  EXPECT_THAT(offer("another", good).error().message(),
              HasSubstr("memory of GPU"));
  const uint32_t region = offer(device, good).region();
  ASSERT_GT(region, 0u);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(offer(device, good).region(), region);
  }
  if (!OnCard()) {
    EXPECT_EQ(NumOpen(), 1);
  }

  // Beyond the real range; the metadata themselves on the device; an answer
  // fetched to it.
  const auto error_of = [&](const shared_memory::Request& request) {
    EXPECT_TRUE(peer.Call(0, request));
    return peer.ErrorOf(0).message();
  };
  EXPECT_THAT(
      error_of(peer.ReluRequest(
          0, {.region = region, .offset = kBytes - 8, .size_bytes = 16})),
      HasSubstr("which has 8388608"));
  EXPECT_THAT(
      error_of(peer.ReluRequest(
          0, {.region = region, .offset = ~uint64_t{0}, .size_bytes = 16})),
      HasSubstr("bytes at"));
  shared_memory::Request request =
      peer.ReluRequest(0, {.region = region, .offset = 0, .size_bytes = 16});
  EXPECT_NE(error_of(request), "");
  request.pieces[0] = {.region = region, .offset = 0, .size_bytes = 4096};
  EXPECT_NE(error_of(request), "");
  request.operation = shared_memory::Operation::kFetch;
  request.num_outputs = 1;
  request.outputs[0] = {.region = region, .offset = 0, .size_bytes = 64};
  EXPECT_NE(error_of(request), "");
  Share();
  EXPECT_TRUE(Relu(0).ok());
}

TEST_F(DeviceMemoryTest, MayBeForgottenByTheServerWhileACallUsesIt) {
  testing::RingPeer peer(server_->unix_address());
  ASSERT_TRUE(peer.Greet());
  const v1::ControlRequest offer = OfferOf(*trainer_, memory_);
  for (int i = 0; i < 50; ++i) {
    const uint32_t region =
        peer.Ask(offer).value_or(v1::ControlReply()).region();
    ASSERT_GT(region, 0u);
    shared_memory::Slot& slot = peer.ring().slots[0];
    slot.request = peer.ReluRequest(
        0, {.region = region, .offset = 0, .size_bytes = 1 << 20});
    slot.request.num_outputs = 1;
    slot.request.outputs[0] = {
        .region = region, .offset = 1 << 20, .size_bytes = 1 << 20};
    slot.state = static_cast<uint32_t>(shared_memory::SlotState::kAsked);
    peer.Publish(0);
    v1::ControlRequest forget;
    forget.mutable_forget_region()->set_region(region);
    ASSERT_TRUE(peer.Ask(forget).has_value());
    while (slot.state.load() !=
           static_cast<uint32_t>(shared_memory::SlotState::kAnswered)) {
      absl::SleepFor(absl::Microseconds(50));
    }
  }
  // The device is as well as before.
  Share();
  EXPECT_TRUE(Relu(0).ok());
}

}  // namespace
}  // namespace actserve
