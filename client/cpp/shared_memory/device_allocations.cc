#include "client/cpp/shared_memory/device_allocations.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr absl::Duration kSpin = absl::Microseconds(200);
constexpr absl::Duration kSleep = absl::Microseconds(50);

uint64_t AddressOf(const void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

// The default context of a GPU, current on this thread as long as it lives.
class InDefaultContext {
 public:
  InDefaultContext(const CudaDriver& driver, int ordinal)
      : cuda_(driver.functions()) {
    CuContext context = nullptr;
    result_ = cuda_.DeviceGet(&device_, ordinal);
    if (result_ == kCuSuccess) result_ = cuda_.CtxGetCurrent(&before_);
    if (result_ != kCuSuccess) return;
    result_ = cuda_.DevicePrimaryCtxRetain(&context, device_);
    is_retained_ = result_ == kCuSuccess;
    if (is_retained_) result_ = cuda_.CtxSetCurrent(context);
  }
  ~InDefaultContext() {
    if (!is_retained_) return;
    cuda_.CtxSetCurrent(before_);
    cuda_.DevicePrimaryCtxRelease(device_);
  }
  InDefaultContext(const InDefaultContext&) = delete;
  InDefaultContext& operator=(const InDefaultContext&) = delete;

  CuResult result() const { return result_; }
  CuDevice device() const { return device_; }

 private:
  const CuFunctions& cuda_;
  CuDevice device_ = 0;
  CuContext before_ = nullptr;
  CuResult result_ = kCuSuccess;
  bool is_retained_ = false;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CudaDriver>> DeviceAllocations::Driver() {
  if (driver_ == nullptr) {
    ACTSERVE_ASSIGN_OR_RETURN(driver_, CudaDriver::Open());
  }
  return driver_;
}

absl::StatusOr<DeviceAllocations::AllocationPtr> DeviceAllocations::Add(
    const void* pointer, std::vector<AllocationPtr>& freed) {
  absl::MutexLock lock(&mu_);
  ACTSERVE_ASSIGN_OR_RETURN(const auto driver, Driver());
  const CuFunctions& cuda = driver->functions();
  auto made = std::make_shared<Allocation>();
  const CuResult found = cuda.PointerGetAttribute(&made->id, kCuPointerBufferId,
                                                  AddressOf(pointer));
  if (found == kCuSuccess) {
    AllocationPtr known = Touched(static_cast<const std::byte*>(pointer), 1);
    if (known != nullptr && known->id == made->id) return known;
  }
  for (auto each = allocations_.begin(); each != allocations_.end();) {
    if (IsFreed(*each->second)) {
      freed.push_back(std::move(each->second));
      each = allocations_.erase(each);
    } else {
      ++each;
    }
  }
  num_allocations_ = allocations_.size();
  if (found != kCuSuccess ||
      cuda.PointerGetAttribute(&made->ordinal, kCuPointerDeviceOrdinal,
                               AddressOf(pointer)) != kCuSuccess) {
    return absl::InvalidArgumentError(
        absl::StrCat("0x", absl::Hex(AddressOf(pointer)),
                     " is not memory of a GPU, or was freed: ",
                     driver->ErrorText("cuPointerGetAttribute", found)));
  }
  const InDefaultContext context(*driver, made->ordinal);
  CuIpcMemHandle handle = {};
  CuUuid uuid = {};
  CuResult result = context.result();
  const char* call = "cuCtxSetCurrent";
  const auto then = [&](const char* name, auto&& step) {
    if (result != kCuSuccess) return;
    call = name;
    result = step();
  };
  then("cuMemGetAddressRange", [&] {
    return cuda.MemGetAddressRange(&made->address, &made->size_bytes,
                                   AddressOf(pointer));
  });
  if (whom_ == For::kServer) {
    then("cuDeviceGetUuid",
         [&] { return cuda.DeviceGetUuid(&uuid, context.device()); });
    then("cuIpcGetMemHandle",
         [&] { return cuda.IpcGetMemHandle(&handle, made->address); });
  }
  if (result != kCuSuccess) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this memory of a GPU cannot be shared: ",
        driver->ErrorText(call, result),
        "; memory of cudaMallocAsync, of PyTorch's expandable_segments, and of "
        "a MIG device cannot, nor any where CUDA IPC is off"));
  }
  made->device_uuid.assign(uuid.bytes, sizeof(uuid.bytes));
  made->handle.assign(handle.bytes, sizeof(handle.bytes));
  allocations_[made->address] = made;
  num_allocations_ = allocations_.size();
  return made;
}

bool DeviceAllocations::IsFreed(const Allocation& allocation) {
  uint64_t id = 0;
  return driver_->functions().PointerGetAttribute(
             &id, kCuPointerBufferId, allocation.address) != kCuSuccess ||
         id != allocation.id;
}

DeviceAllocations::AllocationPtr DeviceAllocations::Remove(
    const void* pointer) {
  absl::MutexLock lock(&mu_);
  AllocationPtr found = Touched(static_cast<const std::byte*>(pointer), 1);
  if (found != nullptr) allocations_.erase(found->address);
  num_allocations_ = allocations_.size();
  return found;
}

std::vector<DeviceAllocations::AllocationPtr> DeviceAllocations::RemoveAll() {
  absl::MutexLock lock(&mu_);
  std::vector<AllocationPtr> all;
  for (auto& [address, each] : allocations_) all.push_back(std::move(each));
  allocations_.clear();
  num_allocations_ = 0;
  return all;
}

DeviceAllocations::AllocationPtr DeviceAllocations::RemoveFreed(
    const std::byte* data, size_t size_bytes) {
  absl::MutexLock lock(&mu_);
  AllocationPtr found = Touched(data, size_bytes);
  if (found == nullptr || !IsFreed(*found)) return nullptr;
  allocations_.erase(found->address);
  num_allocations_ = allocations_.size();
  return found;
}

bool DeviceAllocations::IsOfGpu(const std::byte* data) {
  absl::MutexLock lock(&mu_);
  const auto driver = Driver();
  unsigned type = 0;
  return driver.ok() &&
         (*driver)->functions().PointerGetAttribute(
             &type, kCuPointerMemoryType, AddressOf(data)) == kCuSuccess &&
         type == kCuMemoryTypeDevice;
}

std::optional<DeviceAllocations::Place> DeviceAllocations::Find(
    const std::byte* data, size_t size_bytes) const {
  if (empty()) return std::nullopt;
  absl::MutexLock lock(&mu_);
  auto found = allocations_.upper_bound(AddressOf(data));
  if (found == allocations_.begin()) return std::nullopt;
  --found;
  const size_t offset = AddressOf(data) - found->first;
  const size_t all_bytes = found->second->size_bytes;
  if (offset > all_bytes || size_bytes > all_bytes - offset) {
    return std::nullopt;
  }
  return Place{found->second, offset};
}

bool DeviceAllocations::Touches(const std::byte* data,
                                size_t size_bytes) const {
  if (empty() || size_bytes == 0) return false;
  absl::MutexLock lock(&mu_);
  return Touched(data, size_bytes) != nullptr;
}

DeviceAllocations::AllocationPtr DeviceAllocations::Touched(
    const std::byte* data, size_t size_bytes) const {
  const auto after = allocations_.lower_bound(AddressOf(data) + size_bytes);
  if (after == allocations_.begin()) return nullptr;
  const AllocationPtr& last = std::prev(after)->second;
  const bool touches = AddressOf(data) < last->address + last->size_bytes;
  return touches ? last : nullptr;
}

bool DeviceAllocations::AreUsed(absl::Span<const ByteSpan> parts,
                                absl::Span<const absl::Span<std::byte>> outputs,
                                std::vector<AllocationPtr>& freed) {
  if (empty()) return false;
  const auto are_used = [&](const auto& bytes) {
    while (auto gone = RemoveFreed(bytes.data(), bytes.size())) {
      freed.push_back(std::move(gone));
    }
    return Touches(bytes.data(), bytes.size());
  };
  return std::any_of(parts.begin(), parts.end(), are_used) ||
         std::any_of(outputs.begin(), outputs.end(), are_used);
}

// Nobody here may look into what it is about.
absl::Status DeviceAllocations::Check(const std::byte* data, size_t size_bytes,
                                      int& ordinal) {
  if (size_bytes == 0) return absl::OkStatus();
  if (!Touches(data, size_bytes)) {
    if (!IsOfGpu(data)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor of ", size_bytes,
                     " bytes is in memory of a GPU that is not shared"));
  }
  if (const auto place = Find(data, size_bytes)) {
    ordinal = place->allocation->ordinal;
    return absl::OkStatus();
  }
  const auto begin = Find(data, 1);
  return absl::InvalidArgumentError(
      absl::StrCat("a tensor of ", size_bytes,
                   " bytes exceeds the allocation that it begins or ends in, "
                   "which is shared",
                   begin ? absl::StrCat(": it begins at byte ", begin->offset,
                                        " of ", begin->allocation->size_bytes)
                         : ""));
}

absl::Status DeviceAllocations::Prepare(
    absl::Span<const ByteSpan> parts,
    absl::Span<const absl::Span<std::byte>> outputs,
    std::optional<void*> stream, absl::Time deadline,
    const std::function<bool()>& is_cancelled) {
  int ordinal = 0;
  for (const ByteSpan part : parts) {
    ACTSERVE_RETURN_IF_ERROR(Check(part.data(), part.size(), ordinal));
  }
  for (const absl::Span<std::byte> output : outputs) {
    ACTSERVE_RETURN_IF_ERROR(Check(output.data(), output.size(), ordinal));
  }
  if (!stream) return absl::OkStatus();
  return Await(*stream, ordinal, deadline, is_cancelled);
}

absl::Status DeviceAllocations::Await(
    void* stream, int ordinal, absl::Time deadline,
    const std::function<bool()>& is_cancelled) {
  std::shared_ptr<const CudaDriver> driver;
  {
    absl::MutexLock lock(&mu_);
    ACTSERVE_ASSIGN_OR_RETURN(driver, Driver());
  }
  const InDefaultContext context(*driver, ordinal);
  if (context.result() != kCuSuccess) {
    return absl::InternalError(
        driver->ErrorText("cuCtxSetCurrent", context.result()));
  }
  const absl::Time start = absl::Now();
  for (;;) {
    const CuResult result =
        driver->functions().StreamQuery(static_cast<CuStream>(stream));
    if (result == kCuSuccess) return absl::OkStatus();
    if (result != kCuNotReady) {
      return absl::InternalError(driver->ErrorText("cuStreamQuery", result));
    }
    const absl::Time now = absl::Now();
    if (now > deadline) {
      return absl::DeadlineExceededError(
          "the work on the stream of the call did not end");
    }
    if (is_cancelled != nullptr && is_cancelled()) {
      return absl::CancelledError("the call was cancelled");
    }
    if (now - start > kSpin) absl::SleepFor(kSleep);
  }
}

}  // namespace actserve
