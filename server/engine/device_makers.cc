#include "server/engine/device_makers.h"

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "kernels/device/cpu/cpu_device.h"
#include "kernels/device/cuda/cuda_device.h"
#include "kernels/device/object_cache.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

// The cache on disk of `options`, or none if it cannot be had and need not.
std::string UsableCache(const DeviceOptions& options) {
  const std::string& path = options.cache_directory;
  if (path.empty() || options.cache_directory_required) return path;
  // An error here occurs again when the cache is opened, with a reason.
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      ignored);
  const absl::Status opened =
      ObjectCache::Open(path, /*max_size_bytes=*/0).status();
  if (opened.ok()) return path;
  LogEvent(LogLevel::kWarning, "no_cache",
           {{"reason", std::string(opened.message())}});
  return "";
}

// The pack that `options` name; null if there is none, or it cannot be used.
std::shared_ptr<const SassPack> OpenPack(const DeviceOptions& options) {
  if (options.pack.empty()) return nullptr;
  auto pack = SassPack::Open(options.pack);
  if (pack.ok()) return *pack;
  LogEvent(LogLevel::kWarning, "no_pack",
           {{"reason", std::string(pack.status().message())}});
  return nullptr;
}

}  // namespace

DeviceMakers MakersFor(const DeviceOptions& options) {
  const std::string cache_directory = UsableCache(options);
  DeviceMakers makers;
  makers.cpu = [&options, cache_directory]() -> DeviceMakers::Made {
    return CpuDevice::Create({.num_threads = options.device_threads,
                              .spin = options.device_spin,
                              .cache_directory = cache_directory});
  };
  makers.cuda = [&options, cache_directory](int ordinal) -> DeviceMakers::Made {
    CudaDevice::Options cuda;
    cuda.ordinal = ordinal;
    cuda.pack = OpenPack(options);
    cuda.cache_directory = cache_directory;
    cuda.max_memory_bytes = options.device_memory_bytes;
    cuda.watchdog = options.device_watchdog;
    return CudaDevice::Create(cuda);
  };
  return makers;
}

}  // namespace actserve
