#include "client/local/device_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {

DeviceMemory::Call::StandIn::~StandIn() { munmap(data, size_bytes); }

std::byte* DeviceMemory::Call::OnDevice(const std::byte* address) const {
  for (const auto& each : stand_ins_) {
    if (address < each->data || address >= each->data + each->size_bytes) {
      continue;
    }
    const auto offset = static_cast<uint64_t>(address - each->data);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the GPU.
    return reinterpret_cast<std::byte*>(each->address + offset);
  }
  return nullptr;
}

absl::Status DeviceMemory::Share(const void* pointer) {
  if (!absl::StartsWith(device_, "cuda:")) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this client computes in the memory of the host (\"", device_,
        "\"), not in that of a GPU; one that is made with the device of the "
        "tensors does"));
  }
  std::vector<DeviceAllocations::AllocationPtr> freed;
  const auto added = allocations_.Add(pointer, freed);
  Drop(freed);
  ACTSERVE_RETURN_IF_ERROR(added.status());
  const DeviceAllocations::Allocation& allocation = **added;
  if (const std::string name = absl::StrCat("cuda:", allocation.ordinal);
      name != device_) {
    allocations_.Remove(pointer);
    return absl::FailedPreconditionError(absl::StrCat(
        "memory of ", name, ", but this client computes on ", device_));
  }
  absl::MutexLock lock(&mu_);
  std::shared_ptr<const StandIn>& stand_in = stand_ins_[allocation.id];
  if (stand_in != nullptr) return absl::OkStatus();
  void* const data = mmap(nullptr, allocation.size_bytes, PROT_READ,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    stand_ins_.erase(allocation.id);
    allocations_.Remove(pointer);
    return absl::ResourceExhaustedError(
        absl::StrCat("no addresses for ", allocation.size_bytes,
                     " bytes of device memory: ", std::strerror(errno)));
  }
  stand_in = std::make_shared<const StandIn>(
      static_cast<std::byte*>(data), allocation.size_bytes, allocation.address);
  return absl::OkStatus();
}

void DeviceMemory::Forget(const void* pointer) {
  if (pointer == nullptr) return Drop(allocations_.RemoveAll());
  if (auto allocation = allocations_.Remove(pointer)) Drop({allocation});
}

void DeviceMemory::Drop(
    const std::vector<DeviceAllocations::AllocationPtr>& allocations) {
  absl::MutexLock lock(&mu_);
  for (const auto& each : allocations) stand_ins_.erase(each->id);
}

bool DeviceMemory::IsUsed(absl::Span<const ByteSpan> parts,
                          absl::Span<const absl::Span<std::byte>> outputs) {
  if (allocations_.empty()) return false;
  std::vector<DeviceAllocations::AllocationPtr> freed;
  const bool is_used = allocations_.AreUsed(parts, outputs, freed);
  Drop(freed);
  return is_used;
}

absl::StatusOr<DeviceMemory::Call> DeviceMemory::Begin(
    absl::Span<const ByteSpan> parts,
    absl::Span<const absl::Span<std::byte>> outputs, const Bounds& bounds) {
  ACTSERVE_RETURN_IF_ERROR(allocations_.Prepare(
      parts, outputs, bounds.device_stream, bounds.deadline, [&bounds] {
        return bounds.cancellation != nullptr &&
               bounds.cancellation->cancelled();
      }));
  Call call;
  absl::MutexLock lock(&mu_);
  // What stands for that memory, or it itself.
  const auto stand_in = [&](const std::byte* data, size_t size_bytes) {
    auto* const own = const_cast<std::byte*>(data);
    const auto place = allocations_.Find(data, size_bytes);
    if (size_bytes == 0 || !place) return own;
    const auto found = stand_ins_.find(place->allocation->id);
    if (found == stand_ins_.end()) return own;
    call.stand_ins_.push_back(found->second);
    return found->second->data + place->offset;
  };
  for (const ByteSpan part : parts) {
    call.parts.emplace_back(stand_in(part.data(), part.size()), part.size());
  }
  for (const absl::Span<std::byte> output : outputs) {
    call.outputs.emplace_back(stand_in(output.data(), output.size()),
                              output.size());
  }
  return call;
}

}  // namespace actserve
