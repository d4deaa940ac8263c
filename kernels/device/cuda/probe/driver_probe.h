#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_PROBE_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_PROBE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/driver/cuda_api.h"
#include "kernels/device/cuda/probe/driver_calls.h"
#include "kernels/device/cuda/probe/probe_report.h"
#include "kernels/device/cuda/program/sass_pack.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// Tries everything that a CudaDevice asks of a GPU, one call after the other,
// and goes on after a failure with all that does not depend on it. Only the
// last step goes through CudaDevice, so that the rows before say why it fails.
//
// A device that does not answer in time is not called again. Then, and after
// sticky errors, what was taken is not given back: end the process without
// destructors (std::_Exit), because those of the driver may wait for ever.
//
// For one thread, once.
class DriverProbe {
 public:
  struct Options {
    int ordinal = 0;
    // Precompiled code for a machine without NVRTC. "": none.
    std::string pack;
    // How long to wait for work on the device.
    absl::Duration deadline = absl::Seconds(5);
    // Files that are there where a GPU is, whatever the driver says.
    std::vector<std::string> device_nodes = {"/dev/nvidiactl", "/dev/nvidia0"};
  };
  // The exit codes of the program.
  enum class Result {
    kWorks = 0,
    kFailed = 1,
    kNoDevice = 77,  // no driver or no device, and no sign of one
  };

  // `report` must outlive the probe; Run() also finishes it.
  DriverProbe(Options options, ProbeReport* report)
      : options_(std::move(options)), report_(*report) {}

  Result Run();

 private:
  using Code = std::optional<std::string>;

  void RunSteps();
  // Each returns whether what follows it makes sense.
  bool OpenDriver();
  bool Initialize();
  bool DescribeDevice();
  bool EnterContext();
  bool MakeStreams();

  void TryEvents();
  void TryMemory();
  void TryBlock(int64_t size_bytes);
  void TryEmptyBlock();
  void TryCopies();
  bool TakeBuffers();
  bool ComesBack();
  void TimeCopy(bool in, bool out, int64_t size_bytes);
  CuResult Copy(bool in, bool out, int64_t size_bytes, int repetitions);

  // The code of the kernel, by NVRTC or from the pack.
  Code FindCode(const LoweredProgram& program);
  void TryKernel();
  bool RunKernel(CuFunction function, const PackedLaunch& launch);
  void TimeLaunches(CuFunction function, const PackedLaunch& launch);
  CuResult Launch(CuFunction function, const PackedLaunch& launch);
  void TryDevice();
  void TearDown();

  // Fails the row if there are signs of a device, or says that there is none.
  void SayNoDevice(ProbeRow& row, absl::string_view why);
  // Why a step that needs the device cannot be tried; "" if it can.
  std::string WhyNot() const;
  const CuFunctions& cuda() const { return calls_->cuda(); }

  const Options options_;
  ProbeReport& report_;
  std::optional<DriverCalls> calls_;
  std::string no_device_;  // why there is none

  CuDevice device_ = 0;
  int architecture_ = 0;  // 90; 0: unknown
  int max_shared_bytes_ = 0;
  CuContext context_ = nullptr;
  // In and out.
  CuStream streams_[2] = {};
  CuEvent events_[2] = {};
  void* host_[2] = {};
  CuDeviceAddress memory_[2] = {};
  std::shared_ptr<const SassPack> pack_;
  CuModule module_ = nullptr;
  // True if CudaDevice left work behind that may never end.
  bool is_at_work_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_PROBE_H_
