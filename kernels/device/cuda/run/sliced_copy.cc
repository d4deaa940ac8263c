#include "kernels/device/cuda/run/sliced_copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/status_macros.h"

namespace actserve {

absl::Status SlicedCopy::In(FragmentCursor from, CuDeviceAddress to,
                            int64_t size_bytes) {
  while (size_bytes > 0) {
    const int64_t slice = std::min(size_bytes, slice_bytes_);
    ACTSERVE_ASSIGN_OR_RETURN(Buffer* const buffer, Next());
    from.Copy(buffer->memory, slice);
    ACTSERVE_RETURN_IF_ERROR(context_.Check(
        "cuMemcpyHtoDAsync", context_.cuda().MemcpyHtoDAsync(
                                 to, buffer->memory, slice, slot_.stream)));
    ACTSERVE_RETURN_IF_ERROR(Record(*buffer));
    to += slice;
    size_bytes -= slice;
  }
  return absl::OkStatus();
}

absl::Status SlicedCopy::Out(CuDeviceAddress from, void* to,
                             int64_t size_bytes) {
  auto* next = static_cast<std::byte*>(to);
  while (size_bytes > 0) {
    const int64_t slice = std::min(size_bytes, slice_bytes_);
    ACTSERVE_ASSIGN_OR_RETURN(Buffer* const buffer, Next());
    ACTSERVE_RETURN_IF_ERROR(context_.Check(
        "cuMemcpyDtoHAsync", context_.cuda().MemcpyDtoHAsync(
                                 buffer->memory, from, slice, slot_.stream)));
    ACTSERVE_RETURN_IF_ERROR(Record(*buffer));
    buffer->to = next;
    buffer->size_bytes = slice;
    from += slice;
    next += slice;
    size_bytes -= slice;
  }
  return absl::OkStatus();
}

absl::Status SlicedCopy::Finish() {
  // The one whose turn it is has waited for longer.
  ACTSERVE_RETURN_IF_ERROR(Free(buffers_[turn_]));
  return Free(buffers_[1 - turn_]);
}

absl::StatusOr<SlicedCopy::Buffer*> SlicedCopy::Next() {
  Buffer& buffer = buffers_[turn_];
  turn_ = 1 - turn_;
  ACTSERVE_RETURN_IF_ERROR(Free(buffer));
  return &buffer;
}

absl::Status SlicedCopy::Free(Buffer& buffer) {
  if (!buffer.in_use) return absl::OkStatus();
  ACTSERVE_RETURN_IF_ERROR(context_.Wait(buffer.copied));
  if (buffer.to != nullptr) {
    std::memcpy(buffer.to, buffer.memory, buffer.size_bytes);
  }
  buffer.in_use = false;
  buffer.to = nullptr;
  return absl::OkStatus();
}

absl::Status SlicedCopy::Record(Buffer& buffer) {
  buffer.in_use = true;
  return context_.Check("cuEventRecord", context_.cuda().EventRecord(
                                             buffer.copied, slot_.stream));
}

}  // namespace actserve
