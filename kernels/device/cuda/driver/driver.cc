#include "kernels/device/cuda/driver/driver.h"

#include <dlfcn.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/shared_library.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// Looks symbols up and remembers the first that is not there.
class Symbols {
 public:
  explicit Symbols(void* handle) : handle_(handle) {}

  template <typename Function>
  void Find(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function == nullptr && missing_ == nullptr) missing_ = name;
  }
  const char* missing() const { return missing_; }

 private:
  void* const handle_;
  const char* missing_ = nullptr;
};

// Functions that a driver of any age has: enough to say that it is too old.
void FindFirst(Symbols& symbols, CuFunctions& f) {
  symbols.Find("cuInit", f.Init);
  symbols.Find("cuDriverGetVersion", f.DriverGetVersion);
}

// The suffix is the version of the signature, as in the macros of cuda.h.
void FindRest(Symbols& symbols, CuFunctions& f) {
  symbols.Find("cuGetErrorName", f.GetErrorName);
  symbols.Find("cuDeviceGetCount", f.DeviceGetCount);
  symbols.Find("cuDeviceGet", f.DeviceGet);
  symbols.Find("cuDeviceGetName", f.DeviceGetName);
  symbols.Find("cuDeviceGetAttribute", f.DeviceGetAttribute);
  symbols.Find("cuDeviceTotalMem_v2", f.DeviceTotalMem);
  symbols.Find("cuDevicePrimaryCtxRetain", f.DevicePrimaryCtxRetain);
  symbols.Find("cuDevicePrimaryCtxRelease_v2", f.DevicePrimaryCtxRelease);
  symbols.Find("cuCtxSetCurrent", f.CtxSetCurrent);
  symbols.Find("cuCtxGetCurrent", f.CtxGetCurrent);
  symbols.Find("cuDeviceGetUuid_v2", f.DeviceGetUuid);
  symbols.Find("cuModuleLoadData", f.ModuleLoadData);
  symbols.Find("cuModuleUnload", f.ModuleUnload);
  symbols.Find("cuModuleGetFunction", f.ModuleGetFunction);
  symbols.Find("cuFuncSetAttribute", f.FuncSetAttribute);
  symbols.Find("cuLaunchKernel", f.LaunchKernel);
  symbols.Find("cuMemGetInfo_v2", f.MemGetInfo);
  symbols.Find("cuDeviceGetDefaultMemPool", f.DeviceGetDefaultMemPool);
  symbols.Find("cuMemPoolSetAttribute", f.MemPoolSetAttribute);
  symbols.Find("cuMemAllocAsync", f.MemAllocAsync);
  symbols.Find("cuMemFreeAsync", f.MemFreeAsync);
  symbols.Find("cuMemGetAddressRange_v2", f.MemGetAddressRange);
  symbols.Find("cuPointerGetAttribute", f.PointerGetAttribute);
  symbols.Find("cuIpcGetMemHandle", f.IpcGetMemHandle);
  symbols.Find("cuIpcOpenMemHandle_v2", f.IpcOpenMemHandle);
  symbols.Find("cuIpcCloseMemHandle", f.IpcCloseMemHandle);
  symbols.Find("cuMemHostAlloc", f.MemHostAlloc);
  symbols.Find("cuMemFreeHost", f.MemFreeHost);
  symbols.Find("cuMemcpyHtoDAsync_v2", f.MemcpyHtoDAsync);
  symbols.Find("cuMemcpyDtoHAsync_v2", f.MemcpyDtoHAsync);
  symbols.Find("cuMemcpyDtoDAsync_v2", f.MemcpyDtoDAsync);
  symbols.Find("cuStreamCreate", f.StreamCreate);
  symbols.Find("cuStreamDestroy_v2", f.StreamDestroy);
  symbols.Find("cuStreamQuery", f.StreamQuery);
  symbols.Find("cuEventCreate", f.EventCreate);
  symbols.Find("cuEventDestroy_v2", f.EventDestroy);
  symbols.Find("cuEventRecord", f.EventRecord);
  symbols.Find("cuEventQuery", f.EventQuery);
  symbols.Find("cuEventElapsedTime", f.EventElapsedTime);
}

absl::Status MissingSymbol(const std::string& library, absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat(library, ": not a CUDA driver: no ", name));
}

}  // namespace

std::string CudaDriver::VersionName(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

std::string CudaDriver::ResultName(CuResult result) const {
  const char* name = nullptr;
  if (functions_.GetErrorName != nullptr) {
    functions_.GetErrorName(result, &name);
  }
  return absl::StrCat(name == nullptr ? "error" : name, " (",
                      static_cast<int>(result), ")");
}

std::string CudaDriver::ErrorText(absl::string_view call,
                                  CuResult result) const {
  return absl::StrCat(call, ": ", ResultName(result));
}

absl::StatusOr<std::shared_ptr<const CudaDriver>> CudaDriver::Open(
    const std::string& library) {
  ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<CudaDriver> driver, Load(library));
  ACTSERVE_RETURN_IF_ERROR(driver->Start());
  return driver;
}

absl::StatusOr<std::shared_ptr<CudaDriver>> CudaDriver::Load(
    const std::string& named) {
  absl::StatusOr<SharedLibrary> library =
      OpenSharedLibrary(named, "ACTSERVE_CUDA_DRIVER", Candidates());
  if (!library.ok()) {
    return absl::UnimplementedError(
        absl::StrCat("no CUDA driver here, ", library.status().message()));
  }
  std::shared_ptr<CudaDriver> driver(new CudaDriver);
  driver->path_ = std::move(library->path);
  Symbols symbols(library->handle);
  FindFirst(symbols, driver->functions_);
  if (symbols.missing() != nullptr) {
    return MissingSymbol(driver->path_, symbols.missing());
  }
  FindRest(symbols, driver->functions_);
  if (symbols.missing() != nullptr) driver->missing_symbol_ = symbols.missing();
  return driver;
}

std::vector<std::string> CudaDriver::Candidates() {
  // No folder named `stubs`: what lies there links, but drives nothing.
  return {"libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1",
          "/usr/local/nvidia/lib/libcuda.so.1",
          "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
          "/usr/lib/wsl/lib/libcuda.so.1"};
}

absl::Status CudaDriver::Start() {
  // This one call is allowed before cuInit().
  const CuResult got_version = functions_.DriverGetVersion(&version_);
  if (got_version != kCuSuccess) {
    return absl::InternalError(ErrorText("cuDriverGetVersion", got_version));
  }
  if (version_ < kMinVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": a driver for CUDA ", VersionName(version_),
                     ", want one for ", VersionName(kMinVersion), " or newer"));
  }
  if (!missing_symbol_.empty()) return MissingSymbol(path_, missing_symbol_);
  const CuResult initialized = functions_.Init(0);
  if (initialized == kCuSuccess) {
    const CuResult counted = functions_.DeviceGetCount(&num_devices_);
    if (counted != kCuSuccess) {
      return absl::InternalError(ErrorText("cuDeviceGetCount", counted));
    }
  } else if (initialized != kCuNoDevice) {
    return absl::InternalError(ErrorText("cuInit", initialized));
  }
  if (num_devices_ == 0) {
    return absl::NotFoundError(absl::StrCat(path_, ": the driver (CUDA ",
                                            VersionName(version_),
                                            ") finds no device"));
  }
  return absl::OkStatus();
}

}  // namespace actserve
