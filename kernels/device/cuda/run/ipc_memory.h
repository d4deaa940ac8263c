#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_IPC_MEMORY_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_IPC_MEMORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/shared_device_memory.h"

namespace actserve {

// Opens the allocation of another process that `handle` names, which its
// driver's cuIpcGetMemHandle() made on the device `uuid`. Thread-safe. Returns
// the errors of Device::OpenMemory().
absl::StatusOr<std::shared_ptr<const SharedDeviceMemory>> OpenIpcMemory(
    const std::shared_ptr<CudaContext>& context, absl::string_view uuid,
    absl::string_view handle);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_IPC_MEMORY_H_
