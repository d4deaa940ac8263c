// A real server process on the fake driver of kernels/device/cuda/testing: a
// GPU that computes, is absent, or is lost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/codegen/cuda/emit.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/device/cuda/program/self_test_programs.h"
#include "kernels/device/cuda/testing/fake_driver.h"
#include "server/end_to_end/calls.h"
#include "server/testing/server_process.h"

namespace actserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kDeviceLostExitCode = 69;

class Gpu : public ::testing::Test {
 protected:
  Gpu() {
    setenv("ACTSERVE_CUDA_DRIVER", FakeDriver::Path().c_str(), 1);
    setenv("ACTSERVE_NVRTC", FakeDriver::Path().c_str(), 1);
    unsetenv("FAKE_CUDA");
  }
  void SetUp() override {
    const std::string reason = FakeDriver::WhyNoKernels();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  // `knobs` as fake_driver.h says.
  void Start(const std::string& knobs, std::vector<std::string> flags) {
    setenv("FAKE_CUDA", knobs.c_str(), 1);
    // Nothing that was compiled before.
    flags.insert(flags.begin(), {"--pack=none"});
    auto server = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY), flags);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ActivationService::NewStub(ChannelTo(server_->tcp_address()));
  }
  v1::DeviceInfo DeviceInfo() {
    v1::ServerInfo info;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());
    return info.devices(0);
  }

  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(Gpu, IsTheFirstChoice) {
  Start("", {"--device=auto"});

  v1::ForwardResponse response;
  const grpc::Status status =
      Forward(*stub_, ForwardOf("relu", {-1, 2, -3, 4}), &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(0, 2, 0, 4));
  EXPECT_EQ(response.device(), "cuda:0");
  EXPECT_GT(response.timings().copy_in().nanos(), 0);
  EXPECT_GT(response.timings().copy_out().nanos(), 0);
  const v1::DeviceInfo info = DeviceInfo();
  EXPECT_EQ(info.name(), "cuda:0");
  EXPECT_EQ(info.reason(), "auto: the first GPU can be used");
  EXPECT_EQ(info.counters().num_inline_requests(), 0);
  EXPECT_EQ(info.counters().num_queued_requests(), 1);
  EXPECT_GE(info.counters().num_launches(), 1);
}

TEST_F(Gpu, ComputesBackwardFromWhatItKept) {
  Start("", {"--device=cuda:0"});
  const std::vector<float> x = {-1, 2, -3, 4}, dy = {5, 6, 7, 8};
  v1::ForwardRequest request = ForwardOf("gelu", x);
  request.set_keep_residual(true);
  v1::ForwardResponse forward;
  ASSERT_TRUE(Forward(*stub_, request, &forward).ok());

  v1::BackwardResponse kept, sent;
  ASSERT_TRUE(Backward(*stub_, BackwardOf(forward.residual(), dy), &kept).ok());
  ASSERT_TRUE(Backward(*stub_, BackwardOf("gelu", x, dy), &sent).ok());

  EXPECT_EQ(kept.payload(0), sent.payload(0));
}

// Of x^3: 6 x dy v by x, and 3 x^2 v by dy.
TEST_F(Gpu, ComputesTheSecondOrderFromWhatItKept) {
  Start("", {"--device=cuda:0"});
  v1::RegisterActivationResponse cube;
  ASSERT_TRUE(
      Register(*stub_, "def cube(x):\n    return x * x * x\n", &cube).ok());
  const std::vector<float> x = {-1, 2, -3, 4}, dy = {5, 6, 7, 8},
                           v = {1, 2, 1, 2};
  v1::ForwardRequest request = ForwardOf(cube.activation().id(), x);
  request.set_keep_residual(true);
  v1::ForwardResponse forward;
  ASSERT_TRUE(Forward(*stub_, request, &forward).ok());

  for (v1::BackwardRequest backward :
       {BackwardOf(forward.residual(), dy),
        BackwardOf(cube.activation().id(), x, dy)}) {
    backward.set_order(2);
    v1::NamedValue& cotangent = *backward.add_cotangents();
    cotangent.set_name("x");
    *cotangent.mutable_tensor() = TensorOf(v1::DTYPE_FLOAT32, {4});
    backward.add_payload(BytesOf(v));
    for (const char* name : {"x", "dL/dy"}) backward.add_wrt(name);
    v1::BackwardResponse response;
    const grpc::Status status = Backward(*stub_, backward, &response);

    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(ElementsOf<float>(response.payload(0)),
                ElementsAre(-30, 144, -126, 384));
    EXPECT_THAT(ElementsOf<float>(response.payload(1)),
                ElementsAre(3, 24, 27, 96));
  }
}

// y = a max(b, 0), of the halves of [2, 2] along the last axis. What the device
// keeps are the halves.
TEST_F(Gpu, KeepsTheHalvesOfAGate) {
  Start("", {"--device=cuda:0"});
  v1::ForwardRequest request = ForwardOf("reglu", {2, 3, 5, -7});
  *request.mutable_inputs(0) = TensorOf(v1::DTYPE_FLOAT32, {2, 2});
  request.set_split_axis(-1);
  request.set_keep_residual(true);
  v1::ForwardResponse forward;
  ASSERT_TRUE(Forward(*stub_, request, &forward).ok());
  v1::BackwardRequest backward = BackwardOf(forward.residual(), {10, 100});
  *backward.mutable_grad_output() = TensorOf(v1::DTYPE_FLOAT32, {2, 1});
  v1::BackwardResponse first, second;
  ASSERT_TRUE(Backward(*stub_, backward, &first).ok());
  backward.set_order(2);
  v1::NamedValue& cotangent = *backward.add_cotangents();
  cotangent.set_name("*");
  *cotangent.mutable_tensor() = TensorOf(v1::DTYPE_FLOAT32, {2, 2});
  backward.add_payload(BytesOf(std::vector<float>{1, 1, 1, 1}));
  for (const char* name : {"*", "dL/dy"}) backward.add_wrt(name);
  const grpc::Status status = Backward(*stub_, backward, &second);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(ElementsOf<float>(forward.payload(0)), ElementsAre(6, 0));
  EXPECT_THAT(ElementsOf<float>(first.payload(0)), ElementsAre(30, 20, 0, 0));
  EXPECT_THAT(ElementsOf<float>(second.payload(0)), ElementsAre(10, 10, 0, 0));
  EXPECT_THAT(ElementsOf<float>(second.payload(1)), ElementsAre(5, 0));
}

// A pack in which `activation` has its forward in float32, beside the 4 parts
// that the self-test needs.
void WritePack(const std::string& path, const std::string& activation) {
  const auto created =
      Activation::Create(FindInCatalog(activation)->text, {}, nullptr);
  ASSERT_TRUE(created.ok()) << created.status();
  const auto program = (*created)->LowerForward(DType::kFloat32, {});
  ASSERT_TRUE(program.ok()) << program.status();
  const auto nvrtc = Nvrtc::Open(FakeDriver::Path());
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status();
  std::vector<LoweredProgram> programs = SelfTestPrograms();
  programs.push_back(*program);
  std::vector<SassPack::Code> codes;
  for (const LoweredProgram& each : programs) {
    for (const CudaPart part : LaunchLayout(each).parts()) {
      const std::string text = EmitCuda(each, part);
      const auto binary = (*nvrtc)->Compile(text, 90);
      ASSERT_TRUE(binary.ok()) << binary.status();
      codes.push_back({SassKey(text, 90), 90, binary->cubin});
    }
  }
  const absl::Status status = SassPack::Write(path, "13.0", std::move(codes));
  ASSERT_TRUE(status.ok()) << status;
}

TEST_F(Gpu, ComputesWhatIsInItsPackWithoutNvrtc) {
  const std::string pack = ::testing::TempDir() + "/server_gpu_test.sass";
  WritePack(pack, "relu");
  setenv("ACTSERVE_NVRTC", "/nowhere", 1);
  Start("", {"--device=auto", "--pack=" + pack});

  v1::ForwardResponse response;
  const grpc::Status known =
      Forward(*stub_, ForwardOf("relu", {-1, 2}), &response);
  const grpc::Status unknown =
      Forward(*stub_, ForwardOf("gelu", {-1, 2}), &response);

  EXPECT_TRUE(known.ok()) << known.error_message();
  EXPECT_THAT(ElementsOf<float>(response.payload(0)), ElementsAre(0, 2));
  EXPECT_EQ(DeviceInfo().name(), "cuda:0");
  EXPECT_THAT(DeviceInfo().description(),
              HasSubstr("NVRTC not found, tried /nowhere"));
  EXPECT_THAT(DeviceInfo().description(),
              HasSubstr("5 precompiled parts of programs (NVRTC 13.0, sm_90)"));
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(unknown.error_message(), StartsWith("this server has no NVRTC"));
}

TEST_F(Gpu, FindsThePackThatIsShippedWithIt) {
  const std::filesystem::path root = ::testing::TempDir() + "/shipped";
  std::filesystem::create_directories(root / "bin");
  std::filesystem::create_directories(root / "share/actserve");
  std::filesystem::copy_file(BinaryOfBuild(ACTSERVED_BINARY),
                             root / "bin/actserved",
                             std::filesystem::copy_options::overwrite_existing);
  WritePack(root / "share/actserve/builtins.sass", "relu");
  setenv("ACTSERVE_NVRTC", "/nowhere", 1);

  const auto server =
      ServerProcess::Start(root / "bin/actserved", {"--device=cuda:0"});

  EXPECT_TRUE(server.ok()) << server.status();
  std::filesystem::remove_all(root);
}

TEST_F(Gpu, GoesOnWithoutAPackThatItRefuses) {
  const std::string pack = ::testing::TempDir() + "/server_gpu_test.sass";
  std::ofstream(pack) << "no pack";
  Start("", {"--device=cuda:0", "--pack=" + pack});

  v1::ForwardResponse response;
  const grpc::Status status =
      Forward(*stub_, ForwardOf("relu", {2}), &response);

  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(server_->WaitForEvent("no_pack"));
}

TEST_F(Gpu, IsNotUsedIfItCannotBe) {
  struct Case {
    std::string name;
    std::string driver;
    std::string knobs;
    std::string reason;
  };
  const Case cases[] = {
      {"no driver", "/nowhere/libcuda.so.1", "", "/nowhere/libcuda.so.1"},
      {"an old driver", FakeDriver::Path(), "version=11040", "11.4"},
      {"no GPU", FakeDriver::Path(), "devices=0", "device"},
      {"one that computes wrongly", FakeDriver::Path(), "wrong_at_launch=1",
       "cuda:0 fails its self-test: 1 - -50 in float32 is"},
      {"one whose first kernel fails", FakeDriver::Path(), "sticky_at_launch=1",
       "cuda:0 fails its self-test: cuda:0 is lost"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    setenv("ACTSERVE_CUDA_DRIVER", c.driver.c_str(), 1);
    Start(c.knobs, {"--device=auto"});
    EXPECT_EQ(DeviceInfo().name(), "cpu");
    EXPECT_THAT(DeviceInfo().reason(), HasSubstr(c.reason));

    const auto asked = ServerProcess::Start(BinaryOfBuild(ACTSERVED_BINARY),
                                            {"--device=cuda:0"});
    ASSERT_FALSE(asked.ok());
    EXPECT_THAT(std::string(asked.status().message()), HasSubstr(c.reason));
  }
}

TEST_F(Gpu, OnceLostEndsTheProcess) {
  using grpc::health::v1::HealthCheckResponse;
  // The second launch after those of the self-test.
  for (const std::string knobs : {"sticky_at_launch=5", "hang_at_launch=5"}) {
    SCOPED_TRACE(knobs);
    Start(knobs, {"--device=cuda:0", "--device_watchdog=300ms"});
    v1::ForwardResponse response;
    ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());
    auto health =
        grpc::health::v1::Health::NewStub(ChannelTo(server_->tcp_address()));
    grpc::ClientContext context;
    auto watch = health->Watch(&context, {});
    HealthCheckResponse served;
    ASSERT_TRUE(watch->Read(&served));
    EXPECT_EQ(served.status(), HealthCheckResponse::SERVING);

    const absl::Time start = absl::Now();
    EXPECT_EQ(Forward(*stub_, ForwardOf("relu", {1}), &response).error_code(),
              grpc::StatusCode::UNAVAILABLE);
    ASSERT_TRUE(watch->Read(&served));

    EXPECT_EQ(served.status(), HealthCheckResponse::NOT_SERVING);
    EXPECT_LT(absl::Now() - start, absl::Milliseconds(300) + absl::Seconds(1));
    EXPECT_EQ(server_->Wait(), kDeviceLostExitCode);
    EXPECT_TRUE(server_->WaitForEvent("device_lost"));
    context.TryCancel();
    watch->Finish();
  }
}

TEST_F(Gpu, LostWhileIdleEndsTheProcess) {
  Start("sticky_at_record=8", {"--device=cuda:0"});

  EXPECT_EQ(server_->Wait(), kDeviceLostExitCode);
  EXPECT_TRUE(server_->WaitForEvent("device_lost"));
}

}  // namespace
}  // namespace actserve::testing
