// Whatever runs together: the bits of a job are those of the job alone.

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "kernels/activation/activation.h"
#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/testing/reference.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/scheduler.h"

namespace actserve {
namespace {

// A job with tensors of its own, in fragments that may end inside elements.
class BitsJob final : public Scheduler::Job {
 public:
  BitsJob(std::shared_ptr<const Program> of, int64_t num_elements,
          uint32_t seed)
      : caller_(seed % 5) {
    program = std::move(of);
    std::mt19937 random(seed);
    const LoweredProgram& lowered = program->lowered();
    for (int i = 0; i < lowered.num_tensor_inputs(); ++i) {
      tensors_.push_back(
          testing::RandomTensor(lowered.storage, num_elements, seed + i));
    }
    for (const std::string& tensor : tensors_) {
      const auto* data = reinterpret_cast<const std::byte*>(tensor.data());
      const size_t cut = random() % (tensor.size() + 1);
      fragments_.push_back({{data, cut}, {data + cut, tensor.size() - cut}});
    }
    for (const auto& fragments : fragments_) item.inputs.push_back(fragments);
    for (size_t i = 0; i < lowered.graph.parameters.size(); ++i) {
      item.parameters.push_back(0.25 * static_cast<double>(1 + random() % 8));
    }
    item.num_elements = num_elements;
    for (const Output& output : lowered.graph.outputs) {
      if (!output.summed) {
        outputs_.emplace_back(num_elements * ItemSizeBytes(lowered.storage),
                              '\x5a');
      }
    }
    for (std::string& output : outputs_) {
      item.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
    }
    size_bytes = static_cast<int64_t>(tensors_.size()) * num_elements;
  }

  CallerId caller() const override { return {.peer = caller_}; }
  bool IsCancelled() const override { return false; }
  void Done(const Scheduler::Outcome& outcome) override {
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    done_.Notify();
  }
  void Wait() { done_.WaitForNotification(); }

  // Its outputs and sums as bytes.
  std::string Result() const {
    std::string result;
    for (const std::string& output : outputs_) result += output;
    result.append(reinterpret_cast<const char*>(item.sums.data()),
                  item.sums.size() * sizeof(double));
    return result;
  }

 private:
  const uint64_t caller_;
  std::deque<std::string> tensors_;
  std::deque<std::vector<Fragment>> fragments_;
  std::deque<std::string> outputs_;
  absl::Notification done_;
};

// Forward and gradient, of parameters too, in every type.
std::vector<std::shared_ptr<const Program>> SomePrograms(CpuDevice& device) {
  const std::string texts[] = {
      "def silu(x):\n    return x / (1 + exp(-x))\n",
      "def swish(x, beta=1.0):\n    return x / (1 + exp(-beta * x))\n",
      "def f(x, y, a=2.0):\n    return a * x * y if x > y else tanh(x)\n",
  };
  std::vector<std::shared_ptr<const Program>> programs;
  for (const std::string& text : texts) {
    std::vector<Diagnostic> diagnostics;
    const auto created = Activation::Create(text, {}, &diagnostics);
    EXPECT_TRUE(created.ok()) << created.status();
    const Activation& activation = **created;
    std::vector<std::string> names = activation.inputs();
    for (const auto& parameter : activation.parameters()) {
      names.push_back(parameter.name);
    }
    for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16,
                        DType::kBFloat16}) {
      const absl::StatusOr<LoweredProgram> all[] = {
          activation.LowerForward(dtype, {}),
          activation.LowerBackward(dtype, {activation.inputs()[0]}),
          activation.LowerBackward(dtype, names)};
      for (const auto& lowered : all) {
        EXPECT_TRUE(lowered.ok()) << lowered.status();
        programs.push_back(*device.Compile(*lowered));
      }
    }
  }
  return programs;
}

TEST(SchedulerBits, AreThoseOfTheJobAlone) {
  constexpr int kRounds = 30;
  constexpr int kJobs = 60;
  auto device = CpuDevice::Create({.num_threads = 2});
  ASSERT_TRUE(device.ok()) << device.status();
  const auto programs = SomePrograms(**device);
  std::mt19937 random(1);
  SchedulerCounters counters;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    Scheduler::Options options;
    options.num_threads = 1 + random() % 3;
    options.max_running_batches = 1 + random() % options.num_threads;
    options.inline_bytes = -1;
    options.queue.max_batch_jobs = 1 + random() % 40;
    options.queue.max_batch_elements = 1 + random() % 50'000;
    Scheduler scheduler(options, device->get(), Clock::Real());
    std::deque<BitsJob> together, alone;
    for (int j = 0; j < kJobs; ++j) {
      // A few programs, so that some share batches; most jobs small, behind
      // some that keep every thread busy.
      const auto& program =
          programs[(7 * round + random() % 3) % programs.size()];
      const int64_t num_elements =
          j < 3 ? 200'000 : random() % (j % 10 == 0 ? 20'000 : 300);
      const uint32_t seed = random();
      together.emplace_back(program, num_elements, seed);
      alone.emplace_back(program, num_elements, seed);
    }

    for (BitsJob& job : together) scheduler.Submit(&job, true);
    for (BitsJob& job : together) job.Wait();

    for (int j = 0; j < kJobs; ++j) {
      BitsJob& job = alone[j];
      ASSERT_TRUE(
          (*device)->Run(*job.program, absl::MakeSpan(&job.item, 1)).ok());
      EXPECT_EQ(together[j].Result(), job.Result()) << "job " << j;
    }
    const SchedulerCounters of_round = scheduler.counters();
    counters.num_batches += of_round.num_batches;
    counters.num_queued_jobs += of_round.num_queued_jobs;
  }
  EXPECT_EQ(counters.num_queued_jobs, kRounds * kJobs);
  EXPECT_LT(counters.num_batches, counters.num_queued_jobs / 4 * 3)
      << "so that there is something to compare";
}

}  // namespace
}  // namespace actserve
