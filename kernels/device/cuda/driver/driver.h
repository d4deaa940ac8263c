#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_DRIVER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_DRIVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device/cuda/driver/cuda_api.h"

namespace actserve {

// NVIDIA's driver library, opened at run time: one binary runs with and
// without a GPU.
//
// It is never closed once opened, because its threads outlive its handle.
class CudaDriver {
 public:
  // CUDA 12.0 in the driver's own numbering: NVRTC 12 and 13 need at least
  // this.
  static constexpr int kMinVersion = 12000;

  // Opens `library` and initializes it. If `library` is empty, opens the file
  // that ACTSERVE_CUDA_DRIVER in the environment names, and if that is empty
  // too, the first of Candidates().
  //   Unimplemented       there is no such library here; the message says what
  //                       was tried
  //   FailedPrecondition  it is no driver, or one older than kMinVersion
  //   NotFound            there is no device
  //   Internal            it does not start
  static absl::StatusOr<std::shared_ptr<const CudaDriver>> Open(
      const std::string& library = "");

  // Where the driver is looked for, in this order: where the dynamic loader
  // finds it, then the folders that containers, distributions and WSL put it
  // into.
  static std::vector<std::string> Candidates();

  // Opens a library as Open() does, but calls nothing in it: for a program that
  // looks at every call. version() and num_devices() stay 0.
  //   Unimplemented, FailedPrecondition  as Open(), whatever its version
  static absl::StatusOr<std::shared_ptr<CudaDriver>> Load(
      const std::string& library = "");

  // The file of the library that was opened.
  const std::string& path() const { return path_; }
  // The first function that it lacks, whose pointer is null; "" if it has all.
  // Only Load() returns such a driver.
  const std::string& missing_symbol() const { return missing_symbol_; }
  const CuFunctions& functions() const { return functions_; }
  // 13000 is CUDA 13.0.
  int version() const { return version_; }
  // "13.0"
  static std::string VersionName(int version);
  int num_devices() const { return num_devices_; }

  // "CUDA_ERROR_NO_DEVICE (100)"
  std::string ResultName(CuResult result) const;
  // "cuInit: CUDA_ERROR_NO_DEVICE (100)"
  std::string ErrorText(absl::string_view call, CuResult result) const;

 private:
  CudaDriver() = default;

  absl::Status Start();

  std::string path_;
  std::string missing_symbol_;
  CuFunctions functions_ = {};
  int version_ = 0;
  int num_devices_ = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_DRIVER_H_
