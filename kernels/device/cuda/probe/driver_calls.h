#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_CALLS_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_CALLS_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/device/cuda/probe/probe_report.h"

namespace actserve {

// Makes calls of the driver and records each as a row. A wait ends after the
// deadline; the device then counts as hung, and nothing may call the driver
// again, because that might wait for the same work.
class DriverCalls {
 public:
  using Step = absl::FunctionRef<CuResult()>;
  // Completes the row of a call that succeeded; may fail it after all.
  using Describe = absl::FunctionRef<void(ProbeRow& row)>;

  DriverCalls(std::shared_ptr<const CudaDriver> driver, ProbeReport* report,
              absl::Duration deadline)
      : driver_(std::move(driver)), report_(*report), deadline_(deadline) {}

  const CudaDriver& driver() const { return *driver_; }
  const CuFunctions& cuda() const { return driver_->functions(); }

  // Returns whether the call succeeded. Its time is that of `step` alone.
  bool Call(const std::string& call, Step step);
  bool Call(const std::string& call, Step step, Describe describe);
  // Records the result as information, whatever it is.
  CuResult Try(const std::string& call, Step step);

  // Records the event and waits for it. kCuNotReady: not before the deadline.
  CuResult Finish(CuStream stream, CuEvent event);
  CuResult Wait(CuEvent event);

  bool hung() const { return hung_; }
  // "the device did not answer in 5s"
  std::string WhyHung() const;

 private:
  std::string Name(CuResult result) const;

  const std::shared_ptr<const CudaDriver> driver_;
  ProbeReport& report_;
  const absl::Duration deadline_;
  bool hung_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_PROBE_DRIVER_CALLS_H_
