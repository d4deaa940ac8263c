#include "server/device_makers.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cuda/cuda_device.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

// A device of `options`, without its cache on disk if it cannot be had and
// need not.
template <typename DeviceType>
DeviceMakers::Made Make(typename DeviceType::Options device_options,
                        const Options& options) {
  device_options.cache_directory = options.cache_directory;
  if (!options.cache_directory_required) {
    // An error here occurs again in the device, with a reason.
    std::error_code ignored;
    std::filesystem::create_directories(
        std::filesystem::path(options.cache_directory).parent_path(), ignored);
  }
  auto device = DeviceType::Create(device_options);
  if (device.ok() || options.cache_directory_required ||
      options.cache_directory.empty()) {
    return device;
  }
  const absl::Status reason = device.status();
  device_options.cache_directory.clear();
  device = DeviceType::Create(device_options);
  if (device.ok()) {
    LogEvent(LogLevel::kWarning, "no_cache",
             {{"reason", std::string(reason.message())}});
  }
  return device;
}

// The pack that `options` name; null if there is none, or it cannot be used.
std::shared_ptr<const SassPack> OpenPack(const Options& options) {
  if (options.pack.empty()) return nullptr;
  auto pack = SassPack::Open(options.pack);
  if (pack.ok()) return *pack;
  LogEvent(LogLevel::kWarning, "no_pack",
           {{"reason", std::string(pack.status().message())}});
  return nullptr;
}

}  // namespace

DeviceMakers MakersFor(const Options& options) {
  DeviceMakers makers;
  makers.cpu = [&options] {
    return Make<CpuDevice>({.num_threads = options.device_threads}, options);
  };
  makers.cuda = [&options](int ordinal) {
    CudaDevice::Options cuda;
    cuda.ordinal = ordinal;
    cuda.pack = OpenPack(options);
    cuda.max_memory_bytes = options.device_memory_bytes;
    cuda.watchdog = options.device_watchdog;
    return Make<CudaDevice>(cuda, options);
  };
  return makers;
}

}  // namespace actserve
