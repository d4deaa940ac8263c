#ifndef ACTSERVE_CLIENT_CPP_SHARED_MEMORY_DEVICE_ALLOCATIONS_H_
#define ACTSERVE_CLIENT_CPP_SHARED_MEMORY_DEVICE_ALLOCATIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cpp/message/split_response.h"
#include "kernels/device/cuda/driver/driver.h"

namespace actserve {

// The allocations of this process in the memory of GPUs that a server uses, or
// this process itself. Opens the CUDA driver when it is first needed.
// Thread-safe.
class DeviceAllocations {
 public:
  // Who computes in them.
  enum class For { kServer, kThisProcess };
  explicit DeviceAllocations(For whom) : whom_(whom) {}

  // As cuMemAlloc() or cudaMalloc() made it.
  struct Allocation {
    uint64_t address = 0;
    size_t size_bytes = 0;
    int ordinal = 0;
    // The driver's; no other allocation of this process has or had it.
    uint64_t id = 0;
    // For a server: v1::ControlRequest::OfferDeviceMemory.
    std::string device_uuid;
    std::string handle;
  };
  // Bytes of one.
  struct Place {
    std::shared_ptr<const Allocation> allocation;
    size_t offset = 0;
  };

  using AllocationPtr = std::shared_ptr<const Allocation>;

  // The allocation that `pointer` lies in; remembers it until Remove(). Quick
  // for one that is remembered. Where it is not, or is an error, those that
  // were freed meanwhile are removed, and added to `freed`.
  //   Unimplemented       there is no CUDA driver
  //   InvalidArgument     `pointer` is no memory of a GPU, or was freed
  //   FailedPrecondition  another process cannot open it: it is of a pool
  //                       (cudaMallocAsync) or of virtual memory
  //                       (expandable_segments of PyTorch), or the system has
  //                       no CUDA IPC
  absl::StatusOr<AllocationPtr> Add(const void* pointer,
                                    std::vector<AllocationPtr>& freed);
  // Null if it is in none that is remembered.
  AllocationPtr Remove(const void* pointer);
  // Removes all.
  std::vector<AllocationPtr> RemoveAll();
  // Where that memory is; nullopt if it is not all in one of these allocations.
  std::optional<Place> Find(const std::byte* data, size_t size_bytes) const;
  // True if that memory shares a byte with one of them.
  bool Touches(const std::byte* data, size_t size_bytes) const;
  bool empty() const { return num_allocations_ == 0; }

  // True if some tensors of a call share a byte with them. Those of them that
  // were freed do not count: they are removed, and added to `freed`.
  bool AreUsed(absl::Span<const ByteSpan> parts,
               absl::Span<const absl::Span<std::byte>> outputs,
               std::vector<AllocationPtr>& freed);
  // For a call of which AreUsed() is true: checks where its tensors are, and
  // waits until everything that was put on `stream` of a GPU's default context
  // is done, if there is one.
  //   InvalidArgument              a tensor exceeds its allocation, or is on a
  //                                GPU and in none of these
  //   DeadlineExceeded, Cancelled  it was not in time, or nobody waits
  //   Internal                     the driver says that it failed
  absl::Status Prepare(absl::Span<const ByteSpan> parts,
                       absl::Span<const absl::Span<std::byte>> outputs,
                       std::optional<void*> stream, absl::Time deadline,
                       const std::function<bool()>& is_cancelled);

 private:
  // True if it is memory of a GPU, as far as the driver knows.
  bool IsOfGpu(const std::byte* data);
  // Removes and returns one that was freed and shares a byte with that memory;
  // null: there is none.
  AllocationPtr RemoveFreed(const std::byte* data, size_t size_bytes);
  // Sets `ordinal` to its GPU if it is on one.
  absl::Status Check(const std::byte* data, size_t size_bytes, int& ordinal);
  absl::Status Await(void* stream, int ordinal, absl::Time deadline,
                     const std::function<bool()>& is_cancelled);
  absl::StatusOr<std::shared_ptr<const CudaDriver>> Driver()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The last one that begins before the end of that memory and shares a byte
  // with it; null: none does.
  AllocationPtr Touched(const std::byte* data, size_t size_bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsFreed(const Allocation& allocation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const For whom_;
  std::atomic<size_t> num_allocations_ = 0;
  mutable absl::Mutex mu_;
  std::shared_ptr<const CudaDriver> driver_ ABSL_GUARDED_BY(mu_);
  // By address.
  std::map<uint64_t, AllocationPtr> allocations_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SHARED_MEMORY_DEVICE_ALLOCATIONS_H_
