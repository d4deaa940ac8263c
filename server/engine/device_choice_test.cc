#include "server/engine/device_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

class NamedDevice final : public Device {
 public:
  explicit NamedDevice(std::string name) : name_(std::move(name)) {}
  std::string name() const override { return name_; }
  std::string description() const override { return "for tests"; }
  absl::StatusOr<std::shared_ptr<const Program>> Compile(
      const LoweredProgram&, const StopToken&) override {
    return absl::UnimplementedError("");
  }
  absl::Status Run(const Program&, absl::Span<WorkItem>) override {
    return absl::OkStatus();
  }

 private:
  const std::string name_;
};

// A machine with a CPU and `num_gpus` GPUs.
DeviceMakers MakersFor(int num_gpus) {
  DeviceMakers makers;
  makers.cpu = [] { return std::make_unique<NamedDevice>("cpu"); };
  makers.cuda = [num_gpus](int ordinal) -> DeviceMakers::Made {
    if (num_gpus == 0) return absl::UnimplementedError("no CUDA driver: why");
    if (ordinal >= num_gpus) return absl::InvalidArgumentError("too few");
    return std::make_unique<NamedDevice>(absl::StrCat("cuda:", ordinal));
  };
  return makers;
}

TEST(DeviceChoice, TakesWhatIsAskedFor) {
  struct Case {
    std::string wanted;
    int num_gpus;
    std::string name;
    std::string reason;
    bool computes_on_caller;
  };
  const Case cases[] = {
      {"cpu", 0, "cpu", "--device=cpu", true},
      {"cpu", 1, "cpu", "--device=cpu", true},
      {"cuda:0", 1, "cuda:0", "--device=cuda:0", false},
      {"cuda:1", 2, "cuda:1", "--device=cuda:1", false},
      {"auto", 2, "cuda:0", "auto: the first GPU can be used", false},
      {"auto", 0, "cpu", "auto: no CUDA driver: why", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.wanted, " of ", c.num_gpus));
    const auto chosen = ChooseDevice(c.wanted, MakersFor(c.num_gpus));
    ASSERT_TRUE(chosen.ok()) << chosen.status();
    EXPECT_EQ(chosen->device->name(), c.name);
    EXPECT_EQ(chosen->reason, c.reason);
    EXPECT_EQ(chosen->computes_on_caller, c.computes_on_caller);
  }
}

TEST(DeviceChoice, DoesNotReplaceWhatIsAskedFor) {
  EXPECT_EQ(ChooseDevice("cuda:0", MakersFor(0)).status(),
            absl::UnimplementedError("no CUDA driver: why"));
  EXPECT_EQ(ChooseDevice("cuda:2", MakersFor(2)).status(),
            absl::InvalidArgumentError("too few"));
}

TEST(DeviceChoice, RefusesOtherNames) {
  for (const std::string wanted :
       {"", "gpu", "CPU", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda: 1",
        "cuda:+1", "cuda:1x", "cuda:99999999999"}) {
    SCOPED_TRACE(wanted);
    const absl::Status want = absl::InvalidArgumentError(
        absl::StrCat("device: ", wanted, " is none of auto, cpu, cuda:N"));
    EXPECT_EQ(ValidateDevice(wanted), want);
    EXPECT_EQ(ChooseDevice(wanted, MakersFor(1)).status(), want);
  }
}

}  // namespace
}  // namespace actserve
