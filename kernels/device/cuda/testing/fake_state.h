// The state that the parts of the fake driver share. Tests use fake_driver.h
// instead.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_STATE_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_STATE_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

#include "kernels/device/cuda/driver/cuda_api.h"
#include "kernels/device/cuda/testing/fake_driver.h"

#define ACTSERVE_FAKE_EXPORT extern "C" __attribute__((visibility("default")))

namespace actserve::testing {

inline constexpr int kNumKnobs = static_cast<int>(FakeKnob::kNumFaults) + 1;

// Knobs and counters.
class FakeState {
 public:
  static FakeState& Get();

  void Reset();
  std::atomic<int64_t>& knob(FakeKnob knob) {
    return knobs_[static_cast<size_t>(knob)];
  }
  // Counts down; true when it gets to 0.
  bool IsNth(FakeKnob knob);

  // kCuSuccess, or the error that everything returns from now on.
  CuResult sticky() const { return sticky_.load(); }
  void SetSticky(CuResult result) { sticky_.store(result); }

  // Handles that were given out and not given back. Holding them here also
  // keeps those of a lost device from looking like a leak.
  void Add(void* object);
  void Remove(void* object);

  // Blocks until Reset().
  void Hang();

 private:
  FakeState() { Reset(); }

  std::array<std::atomic<int64_t>, kNumKnobs> knobs_ = {};
  std::atomic<CuResult> sticky_ = kCuSuccess;
  std::mutex mutex_;
  std::condition_variable reset_;
  std::set<void*> objects_;
  int64_t num_resets_ = 0;
};

// Device memory is memory of this process.
inline void* HostAddress(CuDeviceAddress address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is an integer there.
  return reinterpret_cast<void*>(address);
}

// Device memory. Blocks lie between guards that are checked when they go.
class FakeMemory {
 public:
  static FakeMemory& Get();

  CuResult Allocate(size_t size_bytes, CuDeviceAddress* address);
  void Free(CuDeviceAddress address);
  // Returns whether the bytes lie in one block. If not, the device is lost.
  bool Check(CuDeviceAddress address, size_t size_bytes);

 private:
  std::mutex mutex_;
  std::map<CuDeviceAddress, size_t> blocks_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_STATE_H_
