#ifndef ACTSERVE_CLIENT_LOCAL_DEVICE_MEMORY_H_
#define ACTSERVE_CLIENT_LOCAL_DEVICE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/replicas.h"
#include "client/cpp/shared_memory/device_allocations.h"

namespace actserve {

// Memory of the GPU that computes in this process, in which its own tensors
// are. Thread-safe.
//
// For each allocation there are as many addresses of this process, where
// nothing is: a call has those, so that a tensor which is read on the way by
// mistake reads as zeros, and is found out later.
class DeviceMemory {
 public:
  // `device`: "cuda:0", the device of the engine.
  explicit DeviceMemory(std::string device) : device_(std::move(device)) {}

  // As those of Client, on that device.
  absl::Status Share(const void* pointer);
  void Forget(const void* pointer);
  bool IsUsed(absl::Span<const ByteSpan> parts,
              absl::Span<const absl::Span<std::byte>> outputs);

  // A call of which IsUsed() is true.
  class Call {
   public:
    // What stands for its tensors.
    std::vector<ByteSpan> parts;
    std::vector<absl::Span<std::byte>> outputs;
    // Null if the address stands for nothing.
    std::byte* OnDevice(const std::byte* address) const;

   private:
    friend class DeviceMemory;
    struct StandIn {
      StandIn(std::byte* data, size_t size_bytes, uint64_t address)
          : data(data), size_bytes(size_bytes), address(address) {}
      ~StandIn();
      StandIn(const StandIn&) = delete;
      StandIn& operator=(const StandIn&) = delete;

      std::byte* const data;
      const size_t size_bytes;
      const uint64_t address;
    };
    std::vector<std::shared_ptr<const StandIn>> stand_ins_;
  };

  // Waits for the stream in `bounds`. Errors are those of
  // DeviceAllocations::Prepare().
  absl::StatusOr<Call> Begin(absl::Span<const ByteSpan> parts,
                             absl::Span<const absl::Span<std::byte>> outputs,
                             const Bounds& bounds);

 private:
  using StandIn = Call::StandIn;

  void Drop(const std::vector<DeviceAllocations::AllocationPtr>& allocations);

  const std::string device_;
  DeviceAllocations allocations_{DeviceAllocations::For::kThisProcess};
  absl::Mutex mu_;
  // By the id of the allocation.
  std::map<uint64_t, std::shared_ptr<const StandIn>> stand_ins_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOCAL_DEVICE_MEMORY_H_
