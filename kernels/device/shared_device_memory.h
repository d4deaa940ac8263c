#ifndef ACTSERVE_KERNELS_DEVICE_SHARED_DEVICE_MEMORY_H_
#define ACTSERVE_KERNELS_DEVICE_SHARED_DEVICE_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace actserve {

// Memory of a device that another process of this machine has shared, mapped
// as long as this object lives. The object may outlive the device. The other
// process may change the contents at any time; what it must not do is free
// them. Immutable; thread-safe.
class SharedDeviceMemory {
 public:
  virtual ~SharedDeviceMemory() = default;

  // Where the device has it: no address of this process.
  uint64_t address() const { return address_; }
  // What the driver says, not what the other process says.
  uint64_t size_bytes() const { return size_bytes_; }

 protected:
  SharedDeviceMemory(uint64_t address, uint64_t size_bytes)
      : address_(address), size_bytes_(size_bytes) {}

 private:
  const uint64_t address_;
  const uint64_t size_bytes_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_SHARED_DEVICE_MEMORY_H_
