#ifndef ACTSERVE_SERVER_ENGINE_DEVICE_MAKERS_H_
#define ACTSERVE_SERVER_ENGINE_DEVICE_MAKERS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "server/engine/device_choice.h"

namespace actserve {

// What devices are made of.
struct DeviceOptions {
  // "auto", "cpu" or "cuda:N".
  std::string device = "auto";
  // Threads that share one large tensor; 0: all.
  int device_threads = 0;
  // How long they stay awake after a tensor.
  absl::Duration device_spin = absl::ZeroDuration();
  // Limit on the GPU memory for tensors and tables; 0: nine tenths of the free
  // memory.
  int64_t device_memory_bytes = 0;
  // How long GPU work may run before its kernel counts as hung.
  absl::Duration device_watchdog = absl::Seconds(10);
  // File of precompiled GPU programs; empty: none.
  std::string pack;
  // Directory of compiled programs; empty: none.
  std::string cache_directory;
  // True if a device must not be made without it.
  bool cache_directory_required = true;
};

// Returns makers for the devices of this machine, configured by `options`,
// which must outlive them.
DeviceMakers MakersFor(const DeviceOptions& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_ENGINE_DEVICE_MAKERS_H_
