#include "kernels/device/cuda/run/sliced_copy.h"

#include <algorithm>

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
                             const TensorPart& part, int64_t num_elements,
                             int64_t item_size_bytes) {
  const int64_t most = slice_bytes_ / item_size_bytes;
  for (int64_t begin = 0; begin < num_elements; begin += most) {
    const int64_t count = std::min(most, num_elements - begin);
    ACTSERVE_ASSIGN_OR_RETURN(Buffer* const buffer, Next());
    ACTSERVE_RETURN_IF_ERROR(context_.Check(
        "cuMemcpyDtoHAsync",
        context_.cuda().MemcpyDtoHAsync(
            buffer->memory, from, count * item_size_bytes, slot_.stream)));
    ACTSERVE_RETURN_IF_ERROR(Record(*buffer));
    buffer->to = static_cast<std::byte*>(to);
    buffer->part = part;
    buffer->begin = begin;
    buffer->num_elements = count;
    buffer->item_size_bytes = item_size_bytes;
    from += count * item_size_bytes;
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
    CopyIntoPart(buffer.memory, buffer.begin, buffer.num_elements, buffer.part,
                 buffer.item_size_bytes, buffer.to);
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
