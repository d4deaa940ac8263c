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
  CuResult sticky() {
    return static_cast<CuResult>(knob(FakeKnob::kSticky).load());
  }
  void SetSticky(CuResult result) { knob(FakeKnob::kSticky) = result; }

  // Handles that were given out and not given back. Holding them here also
  // keeps those of a lost device from looking like a leak.
  void Add(void* object);
  void Remove(void* object);

  // Blocks until Reset().
  void Hang();

 private:
  FakeState() { Reset(); }

  std::array<std::atomic<int64_t>, kNumKnobs> knobs_ = {};
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

// Device memory. Blocks lie between guards that are checked when they go. A
// block belongs to the stream that allocated it until that stream has got
// there; another stream that touches it before loses the device.
class FakeMemory {
 public:
  static FakeMemory& Get();

  CuResult Allocate(size_t size_bytes, CuStream stream,
                    CuDeviceAddress* address);
  void SetReady(CuDeviceAddress address);
  void Free(CuDeviceAddress address);
  // Memory that was got elsewhere: makes it a block, or no longer one.
  void Add(CuDeviceAddress address, size_t size_bytes);
  void Remove(CuDeviceAddress address);
  // The block around `address`; false if there is none.
  bool Range(CuDeviceAddress address, CuDeviceAddress* base,
             size_t* size_bytes);
  // What no other block has or had; 0: there is no block.
  uint64_t IdOf(CuDeviceAddress address);
  // Returns whether the bytes lie in one block that `stream` may touch.
  bool Check(CuDeviceAddress address, size_t size_bytes, CuStream stream);
  // Returns false if `word` is an address in a block that `stream` may not
  // touch.
  bool CheckWord(uint64_t word, CuStream stream);

 private:
  struct Block {
    size_t size_bytes = 0;
    CuStream owner = nullptr;  // nullptr: any stream may touch it
    uint64_t id = 0;
  };
  // Loses the device.
  static bool Refuse();
  // The block around `address`, or nullptr.
  const Block* Find(CuDeviceAddress address, size_t size_bytes) const;

  std::mutex mutex_;
  std::map<CuDeviceAddress, Block> blocks_;
  uint64_t last_id_ = 0;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_STATE_H_
