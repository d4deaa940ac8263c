// The part of NVIDIA's driver interface that we call, declared here so that no
// CUDA header is needed to build. Names are the driver's, in our style; the
// values and layouts are its stable ABI.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_API_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_API_H_

#include <cstddef>
#include <cstdint>

namespace actserve {

using CuDevice = int;
using CuDeviceAddress = uint64_t;
using CuContext = struct CuContextTag*;
using CuModule = struct CuModuleTag*;
using CuFunction = struct CuFunctionTag*;
using CuStream = struct CuStreamTag*;
using CuEvent = struct CuEventTag*;
using CuMemoryPool = struct CuMemoryPoolTag*;

// What names an allocation, or a device, to another process.
struct CuIpcMemHandle {
  char bytes[64];
};
struct CuUuid {
  char bytes[16];
};

// An int at the ABI, of which these are the values that we tell apart.
enum CuResult : int {
  kCuSuccess = 0,
  kCuInvalidValue = 1,
  kCuOutOfMemory = 2,
  kCuDeinitialized = 4,
  kCuNoDevice = 100,
  kCuInvalidDevice = 101,
  kCuInvalidImage = 200,
  kCuInvalidContext = 201,
  kCuEccUncorrectable = 214,
  kCuNvlinkUncorrectable = 220,
  kCuContained = 226,
  kCuInvalidHandle = 400,
  kCuNotFound = 500,
  kCuNotReady = 600,
  kCuIllegalAddress = 700,
  kCuLaunchTimeout = 702,
  kCuContextIsDestroyed = 709,
  kCuAssert = 710,
  kCuHardwareStackError = 714,
  kCuLaunchFailed = 719,
  kCuTensorMemoryLeak = 721,
  kCuUnknown = 999,
};

// The attributes of a device that are asked for, by their numbers in cuda.h.
enum CuDeviceAttribute : int {
  kCuMultiprocessorCount = 16,
  kCuL2CacheBytes = 38,
  kCuComputeCapabilityMajor = 75,
  kCuComputeCapabilityMinor = 76,
  kCuMaxSharedBytesPerBlockOptin = 97,
  kCuMemoryPoolsSupported = 115,
};

// The attributes of an address, by their numbers in cuda.h.
enum CuPointerAttribute : int {
  kCuPointerMemoryType = 2,
  // Of an allocation: no other one of the process has or had it.
  kCuPointerBufferId = 7,
  kCuPointerDeviceOrdinal = 9,
};
inline constexpr unsigned kCuMemoryTypeDevice = 2;
enum CuFunctionAttribute : int { kCuMaxDynamicSharedBytes = 8 };
enum CuMemoryPoolAttribute : int { kCuReleaseThreshold = 4 };
inline constexpr unsigned kCuStreamNonBlocking = 1;
inline constexpr unsigned kCuEventDefault = 0;
inline constexpr unsigned kCuIpcLazyPeerAccess = 1;

// The functions, each under the symbol that CudaDriver::Open() looks up.
struct CuFunctions {
  CuResult (*Init)(unsigned flags);
  CuResult (*DriverGetVersion)(int* version);
  CuResult (*GetErrorName)(CuResult result, const char** name);

  CuResult (*DeviceGetCount)(int* count);
  CuResult (*DeviceGet)(CuDevice* device, int ordinal);
  CuResult (*DeviceGetName)(char* name, int size_bytes, CuDevice device);
  CuResult (*DeviceGetAttribute)(int* value, CuDeviceAttribute attribute,
                                 CuDevice device);
  CuResult (*DeviceTotalMem)(size_t* size_bytes, CuDevice device);
  CuResult (*DevicePrimaryCtxRetain)(CuContext* context, CuDevice device);
  CuResult (*DevicePrimaryCtxRelease)(CuDevice device);
  CuResult (*CtxSetCurrent)(CuContext context);
  CuResult (*CtxGetCurrent)(CuContext* context);
  CuResult (*DeviceGetUuid)(CuUuid* uuid, CuDevice device);

  CuResult (*ModuleLoadData)(CuModule* module, const void* image);
  CuResult (*ModuleUnload)(CuModule module);
  CuResult (*ModuleGetFunction)(CuFunction* function, CuModule module,
                                const char* name);
  CuResult (*FuncSetAttribute)(CuFunction function,
                               CuFunctionAttribute attribute, int value);
  CuResult (*LaunchKernel)(CuFunction function, unsigned grid_x,
                           unsigned grid_y, unsigned grid_z, unsigned block_x,
                           unsigned block_y, unsigned block_z,
                           unsigned shared_bytes, CuStream stream,
                           void** parameters, void** extra);

  CuResult (*MemGetInfo)(size_t* free_bytes, size_t* total_bytes);
  CuResult (*DeviceGetDefaultMemPool)(CuMemoryPool* pool, CuDevice device);
  CuResult (*MemPoolSetAttribute)(CuMemoryPool pool,
                                  CuMemoryPoolAttribute attribute, void* value);
  CuResult (*MemAllocAsync)(CuDeviceAddress* address, size_t size_bytes,
                            CuStream stream);
  CuResult (*MemFreeAsync)(CuDeviceAddress address, CuStream stream);
  // Of the allocation around an address.
  CuResult (*MemGetAddressRange)(CuDeviceAddress* base, size_t* size_bytes,
                                 CuDeviceAddress address);
  CuResult (*PointerGetAttribute)(void* value, CuPointerAttribute attribute,
                                  CuDeviceAddress address);
  CuResult (*IpcGetMemHandle)(CuIpcMemHandle* handle, CuDeviceAddress address);
  CuResult (*IpcOpenMemHandle)(CuDeviceAddress* address, CuIpcMemHandle handle,
                               unsigned flags);
  CuResult (*IpcCloseMemHandle)(CuDeviceAddress address);
  CuResult (*MemHostAlloc)(void** memory, size_t size_bytes, unsigned flags);
  CuResult (*MemFreeHost)(void* memory);
  CuResult (*MemcpyHtoDAsync)(CuDeviceAddress to, const void* from,
                              size_t size_bytes, CuStream stream);
  CuResult (*MemcpyDtoHAsync)(void* to, CuDeviceAddress from, size_t size_bytes,
                              CuStream stream);
  CuResult (*MemcpyDtoDAsync)(CuDeviceAddress to, CuDeviceAddress from,
                              size_t size_bytes, CuStream stream);

  CuResult (*StreamCreate)(CuStream* stream, unsigned flags);
  CuResult (*StreamDestroy)(CuStream stream);
  CuResult (*StreamQuery)(CuStream stream);
  CuResult (*EventCreate)(CuEvent* event, unsigned flags);
  CuResult (*EventDestroy)(CuEvent event);
  CuResult (*EventRecord)(CuEvent event, CuStream stream);
  CuResult (*EventQuery)(CuEvent event);
  CuResult (*EventElapsedTime)(float* milliseconds, CuEvent start, CuEvent end);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_DRIVER_CUDA_API_H_
