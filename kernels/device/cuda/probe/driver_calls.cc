#include "kernels/device/cuda/probe/driver_calls.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace actserve {
namespace {

// Time for what is short; what takes longer leaves the processor to others.
constexpr absl::Duration kSpin = absl::Milliseconds(5);
constexpr absl::Duration kSleep = absl::Microseconds(50);

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

bool DriverCalls::Call(const std::string& call, Step step) {
  return Call(call, step, [](ProbeRow&) {});
}

bool DriverCalls::Call(const std::string& call, Step step, Describe describe) {
  return report_.Record(call, [&](ProbeRow& row) {
    const auto start = std::chrono::steady_clock::now();
    const CuResult result = step();
    row.milliseconds = MillisecondsSince(start);
    if (result == kCuSuccess) {
      describe(row);
    } else {
      row.Fail(Name(result));
    }
  });
}

CuResult DriverCalls::Try(const std::string& call, Step step) {
  CuResult result = kCuSuccess;
  report_.Record(call, [&](ProbeRow& row) {
    const auto start = std::chrono::steady_clock::now();
    result = step();
    row.milliseconds = MillisecondsSince(start);
    row.Inform(result == kCuSuccess ? "ok" : Name(result));
  });
  return result;
}

CuResult DriverCalls::Finish(CuStream stream, CuEvent event) {
  const CuResult recorded = cuda().EventRecord(event, stream);
  return recorded == kCuSuccess ? Wait(event) : recorded;
}

CuResult DriverCalls::Wait(CuEvent event) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    const absl::Duration waited =
        absl::FromChrono(std::chrono::steady_clock::now() - start);
    // After the clock, so that a pause of this process is not the device's.
    const CuResult result = cuda().EventQuery(event);
    if (result != kCuNotReady) return result;
    if (waited > deadline_) {
      hung_ = true;
      return result;
    }
    if (waited > kSpin) absl::SleepFor(kSleep);
  }
}

std::string DriverCalls::WhyHung() const {
  return absl::StrCat("the device did not answer in ",
                      absl::FormatDuration(deadline_));
}

std::string DriverCalls::Name(CuResult result) const {
  return hung_ && result == kCuNotReady ? WhyHung()
                                        : driver_->ResultName(result);
}

}  // namespace actserve
