// A fake of libcuda.so and libnvrtc.so: one shared library with the symbols of
// both, opened by dlopen, whose device is this process.
//
// Streams are threads, so work that the real driver does later happens later
// here too. Device memory is memory of this process; every copy is checked
// against what is allocated, fresh memory holds no zeros, and memory is a
// stream's own until the stream has got to its allocation. NVRTC is the
// compiler that built the project: the text that the real one would get,
// compiled as C++, so that kernels compute.
//
// Knobs make it fail. A test sets them with FakeDriver::Set(), another process
// with the environment: FAKE_CUDA="devices=2,hang_at_launch=3".

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_DRIVER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_DRIVER_H_

#include <cstdint>
#include <string>

namespace actserve::testing {

// The knobs, with their values after Reset().
enum class FakeKnob {
  kDevices,       // "devices", 1
  kVersion,       // "version", 13000
  kInitResult,    // "init_result", 0: what cuInit() returns
  kArchitecture,  // "architecture", 90
  kMemoryPools,   // "memory_pools", 1
  kMemoryBytes,   // "memory_bytes", 1 GiB of device memory
  kNvrtcMajor,    // "nvrtc_major", 13
  // The nth call or launch from now on; 0: none.
  kFailAllocAt,     // "fail_alloc_at": device memory, once
  kFailPinAt,       // "fail_pin_at": host memory, once
  kFailLoadAt,      // "fail_load_at": a module is refused, once
  kFailCompileAt,   // "fail_compile_at": NVRTC refuses the text, once
  kStickyAtLaunch,  // "sticky_at_launch": an illegal address, for ever
  kHangAtLaunch,    // "hang_at_launch": until Reset()
  kWrongAtLaunch,   // "wrong_at_launch": the kernel does nothing
  kHangAtAlloc,     // "hang_at_alloc": the stream, until Reset()
  kStickyAtRecord,  // "sticky_at_record": a failed launch, for ever
  kHangAtRecord,    // "hang_at_record": cuEventRecord() does not return
  // The next cuEventQuery() says that its event was not reached, and only after
  // this many milliseconds, as if the process had been stopped.
  kQueryPauseMillis,  // "query_pause_millis", 0
  kSticky,            // "sticky", 0: what every call returns
  // Read only: calls since Reset().
  kNumCompiles,
  kNumLaunches,
  kNumCopies,
  kNumObjects,  // modules, streams, events and pinned blocks, now
  kUsedBytes,   // device memory allocated now
  kNumOpened,   // allocations of other processes that are open now
  kNumFaults,   // addresses that were not to be touched, so far
};

// The controls of the library at FakeDriver::Path(), which this opens too.
//
// The state is the process's: one test at a time.
class FakeDriver {
 public:
  FakeDriver();   // Reset()
  ~FakeDriver();  // Reset()

  // The library; the same for driver and NVRTC. ACTSERVE_FAKE_DRIVER in the
  // environment says where it is if not where it was built.
  static std::string Path();
  // Why kernels cannot run here (no compiler), or "".
  static std::string WhyNoKernels();

  void Reset();
  void Set(FakeKnob knob, int64_t value);
  int64_t Get(FakeKnob knob) const;

 private:
  void (*reset_)() = nullptr;
  void (*set_)(int knob, int64_t value) = nullptr;
  int64_t (*get_)(int knob) = nullptr;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_TESTING_FAKE_DRIVER_H_
