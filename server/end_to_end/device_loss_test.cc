// A server on a device that is better fed in batches, and that can be lost:
// what a GPU is to the server, in this process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "server/end_to_end/calls.h"
#include "server/server.h"

namespace actserve::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeProgram final : public Program {
 public:
  explicit FakeProgram(LoweredProgram lowered) : Program(std::move(lowered)) {}
};

// Whoever frees them waits while `blocked`, as for a driver that hangs.
class FakeResidentTensors final : public ResidentTensors {
 public:
  FakeResidentTensors(const WorkItem& item, DType dtype,
                      std::shared_ptr<std::atomic<bool>> blocked)
      : ResidentTensors(static_cast<int>(item.inputs.size()), item.num_elements,
                        dtype),
        blocked_(std::move(blocked)) {}
  ~FakeResidentTensors() override { blocked_->wait(true); }

 private:
  const std::shared_ptr<std::atomic<bool>> blocked_;
};

// Answers with the first input; held back by the test, and lost at its word.
class LosableDevice final : public Device {
 public:
  std::string name() const override { return "fake:0"; }
  std::string description() const override { return "for tests"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram& program, const StopToken&) override {
    if (absl::Status status = health(); !status.ok()) return status;
    return std::make_shared<FakeProgram>(program);
  }
  absl::Status Run(const Program& program,
                   absl::Span<WorkItem> items) override {
    absl::MutexLock lock(&mu_);
    run_sizes_.push_back(static_cast<int>(items.size()));
    const auto may_go_on = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return !held_ || (!health_.ok() && !stuck_);
    };
    mu_.Await(absl::Condition(&may_go_on));
    if (!health_.ok()) return health_;
    for (WorkItem& item : items) {
      std::byte* to = item.outputs[0];
      for (const Fragment& fragment : item.inputs[0]) {
        std::memcpy(to, fragment.data, fragment.size_bytes);
        to += fragment.size_bytes;
      }
      if (item.keep_inputs) {
        item.kept = std::make_shared<FakeResidentTensors>(
            item, program.lowered().storage, freeing_blocked_);
        kept_ = item.kept;
      }
      found_kept_ = item.resident != nullptr && item.resident == kept_.lock();
      item.stages = {absl::Milliseconds(1), absl::Milliseconds(2),
                     absl::Milliseconds(3)};
    }
    return absl::OkStatus();
  }
  absl::Status health() const override {
    absl::MutexLock lock(&mu_);
    return health_;
  }
  void OnLost(LostCallback lost) override { lost_ = std::move(lost); }
  int64_t num_launches() const override { return 42; }

  // Whether Run() waits, and whether it does even when the device is lost.
  void Hold(bool held, bool stuck = false) {
    absl::MutexLock lock(&mu_);
    held_ = held;
    stuck_ = stuck;
  }
  // Whether freeing what it keeps waits.
  void BlockFreeing(bool blocked) {
    freeing_blocked_->store(blocked);
    freeing_blocked_->notify_all();
  }
  void AwaitRuns(size_t count) {
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return run_sizes_.size() >= count;
    };
    absl::MutexLock lock(&mu_, absl::Condition(&enough));
  }
  std::vector<int> run_sizes() const {
    absl::MutexLock lock(&mu_);
    return run_sizes_;
  }
  // Whether the last item came with what was kept last; whether that is held.
  bool found_kept() const {
    absl::MutexLock lock(&mu_);
    return found_kept_;
  }
  bool holds_kept() const {
    absl::MutexLock lock(&mu_);
    return !kept_.expired();
  }
  void Lose() {
    const absl::Status why = absl::UnavailableError("fake:0 fell off its bus");
    {
      absl::MutexLock lock(&mu_);
      health_ = why;
    }
    lost_(why);
  }

 private:
  mutable absl::Mutex mu_;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  bool stuck_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status health_ ABSL_GUARDED_BY(mu_);
  std::weak_ptr<const ResidentTensors> kept_ ABSL_GUARDED_BY(mu_);
  bool found_kept_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<int> run_sizes_ ABSL_GUARDED_BY(mu_);
  const std::shared_ptr<std::atomic<bool>> freeing_blocked_ =
      std::make_shared<std::atomic<bool>>(false);
  LostCallback lost_;
};

class DeviceLoss : public ::testing::Test {
 protected:
  DeviceLoss() {
    Options options;
    options.listen = {"127.0.0.1:0"};
    options.max_running_batches = 1;
    auto device = std::make_unique<LosableDevice>();
    device_ = device.get();
    auto server = Server::Start(
        options, {std::move(device), "a test", /*computes_on_caller=*/false},
        [this] { told_.Notify(); });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ActivationService::NewStub(NewChannel());
  }
  // Whatever a test leaves held is let go before the server ends.
  ~DeviceLoss() override {
    device_->Hold(false);
    device_->BlockFreeing(false);
  }

  std::shared_ptr<grpc::Channel> NewChannel() {
    return ChannelTo(server_->addresses()[0]);
  }
  std::future<grpc::Status> StartForward(const std::string& activation) {
    return std::async(std::launch::async, [this, activation] {
      v1::ForwardResponse response;
      return Forward(*v1::ActivationService::NewStub(NewChannel()),
                     ForwardOf(activation, {1}), &response);
    });
  }
  v1::DeviceInfo DeviceInfo() {
    v1::ServerInfo info;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->GetServerInfo(&context, {}, &info).ok());
    return info.devices(0);
  }

  LosableDevice* device_ = nullptr;
  absl::Notification told_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(DeviceLoss, UntilThenRequestsRunInBatches) {
  device_->Hold(true);
  std::vector<std::future<grpc::Status>> calls;
  calls.push_back(StartForward("relu"));
  device_->AwaitRuns(1);
  for (int i = 0; i < 5; ++i) calls.push_back(StartForward("relu"));
  while (DeviceInfo().counters().num_waiting() < 5) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  device_->Hold(false);

  for (auto& call : calls) EXPECT_TRUE(call.get().ok());

  EXPECT_THAT(device_->run_sizes(), ElementsAre(1, 5));
  const v1::DeviceInfo info = DeviceInfo();
  EXPECT_EQ(info.name(), "fake:0");
  EXPECT_EQ(info.reason(), "a test");
  EXPECT_EQ(info.counters().num_inline_requests(), 0);
  EXPECT_EQ(info.counters().num_queued_requests(), 6);
  EXPECT_EQ(info.counters().num_batches(), 2);
  EXPECT_EQ(info.counters().num_launches(), 42);
}

TEST_F(DeviceLoss, UntilThenStagesAreThoseOfTheDevice) {
  v1::ForwardResponse response;
  ASSERT_TRUE(Forward(*stub_, ForwardOf("relu", {1}), &response).ok());

  const v1::Timings& timings = response.timings();
  EXPECT_EQ(timings.copy_in().nanos(), 1'000'000);
  EXPECT_EQ(timings.compute().nanos(), 2'000'000);
  EXPECT_EQ(timings.copy_out().nanos(), 3'000'000);
  EXPECT_GE(timings.queue().nanos(), 0);
}

TEST_F(DeviceLoss, UntilThenResidualsStayOnTheDevice) {
  v1::ForwardRequest request = ForwardOf("relu", {1, 2});
  request.set_keep_residual(true);
  v1::ForwardResponse forward;
  ASSERT_TRUE(Forward(*stub_, request, &forward).ok());
  EXPECT_TRUE(device_->holds_kept());

  v1::BackwardResponse backward;
  ASSERT_TRUE(
      Backward(*stub_, BackwardOf(forward.residual(), {3, 4}), &backward).ok());

  EXPECT_TRUE(device_->found_kept());
  // The one input beside those that are kept.
  EXPECT_THAT(ElementsOf<float>(backward.payload(0)), ElementsAre(3, 4));
  v1::ReleaseResidualsRequest release;
  release.add_handles(forward.residual().handle());
  v1::ReleaseResidualsResponse released;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->ReleaseResiduals(&context, release, &released).ok());
  EXPECT_EQ(released.num_released(), 1);
  // The Backward lets go of them a moment after its answer.
  while (device_->holds_kept()) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(DeviceLoss, TurnsHealthAndAnswersUnavailable) {
  using grpc::health::v1::HealthCheckResponse;
  auto health = grpc::health::v1::Health::NewStub(NewChannel());
  grpc::ClientContext context;
  auto watch = health->Watch(&context, {});
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  ASSERT_EQ(response.status(), HealthCheckResponse::SERVING);
  device_->Hold(true);
  auto running = StartForward("relu");
  device_->AwaitRuns(1);
  auto waiting = StartForward("gelu");

  const absl::Time lost = absl::Now();
  device_->Lose();

  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_LT(absl::Now() - lost, absl::Seconds(1));
  grpc::ClientContext asking;
  grpc::health::v1::HealthCheckRequest liveness;
  liveness.set_service("liveness");
  EXPECT_TRUE(health->Check(&asking, liveness, &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  told_.WaitForNotification();
  for (auto* call : {&running, &waiting}) {
    const grpc::Status status = call->get();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("fell off its bus"));
  }
  // What comes later, until the process ends.
  EXPECT_EQ(StartForward("relu").get().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  context.TryCancel();
  watch->Finish();
  EXPECT_TRUE(server_->Drain(absl::Seconds(10)));
  EXPECT_EQ(server_->loss(), Server::Loss::kDevice);
}

// The thread that drops expired residuals does not come back from the driver.
TEST_F(DeviceLoss, IsToldWhileTheDriverHangs) {
  v1::ForwardRequest request = ForwardOf("relu", {1, 2});
  request.set_keep_residual(true);
  request.mutable_residual_lease()->set_nanos(1'000'000);
  v1::ForwardResponse forward;
  device_->BlockFreeing(true);
  ASSERT_TRUE(Forward(*stub_, request, &forward).ok());
  while (device_->holds_kept()) absl::SleepFor(absl::Milliseconds(10));

  device_->Lose();

  EXPECT_TRUE(told_.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(StartForward("relu").get().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(server_->Drain(absl::Seconds(10)));
}

TEST_F(DeviceLoss, DoesNotWaitForWhatTheDeviceKeeps) {
  device_->Hold(true, /*stuck=*/true);
  auto stuck = StartForward("relu");
  device_->AwaitRuns(1);
  device_->Lose();
  told_.WaitForNotification();

  EXPECT_FALSE(server_->Drain(absl::Milliseconds(1)));

  device_->Hold(false);
  EXPECT_EQ(stuck.get().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace actserve::testing
