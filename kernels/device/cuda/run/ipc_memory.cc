#include "kernels/device/cuda/run/ipc_memory.h"

#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

// The driver counts how often this process opened an allocation, and unmaps it
// with the last one.
class IpcMemory final : public SharedDeviceMemory {
 public:
  IpcMemory(std::shared_ptr<CudaContext> context, CuDeviceAddress address,
            size_t size_bytes)
      : SharedDeviceMemory(address, size_bytes), context_(std::move(context)) {}
  ~IpcMemory() override {
    if (!context_->Enter().ok()) return;
    context_
        ->Check("cuIpcCloseMemHandle",
                context_->cuda().IpcCloseMemHandle(address()))
        .IgnoreError();
  }

 private:
  const std::shared_ptr<CudaContext> context_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const SharedDeviceMemory>> OpenIpcMemory(
    const std::shared_ptr<CudaContext>& context, absl::string_view uuid,
    absl::string_view handle) {
  CuIpcMemHandle theirs = {};
  if (handle.size() != sizeof(theirs.bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a memory handle of ", handle.size(), " bytes, want ",
                     sizeof(theirs.bytes)));
  }
  if (uuid != context->uuid()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "memory of GPU ", absl::BytesToHexString(uuid), ", but ",
        context->name(), " is ", absl::BytesToHexString(context->uuid())));
  }
  std::memcpy(theirs.bytes, handle.data(), sizeof(theirs.bytes));
  ACTSERVE_RETURN_IF_ERROR(context->Enter());
  CuDeviceAddress address = 0;
  // Not by Check(): the handle is the caller's, so whatever the driver says of
  // it must not count as an error of the device.
  const CuResult opened =
      context->cuda().IpcOpenMemHandle(&address, theirs, kCuIpcLazyPeerAccess);
  if (opened != kCuSuccess) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the handle does not open (",
        context->ErrorText("cuIpcOpenMemHandle", opened),
        "): it names no allocation of another process that lives, or the "
        "containers of the two share no IPC namespace"));
  }
  CuDeviceAddress base = 0;
  size_t size_bytes = 0;
  absl::Status measured = context->Check(
      "cuMemGetAddressRange",
      context->cuda().MemGetAddressRange(&base, &size_bytes, address));
  // Owns it from here on.
  auto memory = std::make_shared<const IpcMemory>(
      context, address, base == address ? size_bytes : 0);
  if (!measured.ok()) return measured;
  if (memory->size_bytes() == 0) {
    return absl::InvalidArgumentError(
        "the handle opens in the middle of an allocation");
  }
  return memory;
}

}  // namespace actserve
