#include "server/stream/chunks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/copy_fragments.h"

namespace actserve {

Chunks::Chunks(const Slabs* slabs, BufferPool* buffers)
    : slabs_(*slabs), tensors_(slabs->payload_bytes().size()) {
  for (size_t p = 0; p < tensors_.size(); ++p) {
    if (size_bytes(p) > 0) ++num_incomplete_;
    if (slabs_.IsKept(p)) tensors_[p].kept = buffers->Get(size_bytes(p));
  }
}

absl::Status Chunks::Take(RequestFrame frame,
                          std::shared_ptr<const void> owner) {
  if (frame.request.has_value()) {
    return absl::InvalidArgumentError(
        "request: set in another message of the stream than the first");
  }
  if (!frame.has_payload || frame.payload_bytes == 0) {
    return InvalidArgument("tensor ", frame.tensor, ": chunk at offset ",
                           frame.offset, " is empty");
  }
  const int32_t p = frame.tensor;
  if (p < 0 || p >= static_cast<int32_t>(tensors_.size())) {
    return InvalidArgument("tensor ", p, ": the request has ", tensors_.size(),
                           " tensors, counted from 0");
  }
  Tensor& tensor = tensors_[p];
  if (frame.offset != tensor.received_bytes) {
    return InvalidArgument("tensor ", p, ": chunk at offset ", frame.offset,
                           ", expected ", tensor.received_bytes);
  }
  const auto chunk_bytes = static_cast<int64_t>(frame.payload_bytes);
  if (chunk_bytes > kMaxChunkBytes) {
    return InvalidArgument("tensor ", p, ": chunk of ", chunk_bytes,
                           " bytes at offset ", frame.offset, ", limit ",
                           kMaxChunkBytes);
  }
  if (chunk_bytes > size_bytes(p) - tensor.received_bytes) {
    return InvalidArgument(
        "tensor ", p, ": chunk of ", chunk_bytes, " bytes at offset ",
        frame.offset, " ends beyond the tensor, which has ", size_bytes(p));
  }
  if (chunk_bytes < kMinChunkBytes &&
      chunk_bytes < size_bytes(p) - tensor.received_bytes) {
    return InvalidArgument("tensor ", p, ": chunk of ", chunk_bytes,
                           " bytes at offset ", frame.offset,
                           ", must be at least ", kMinChunkBytes,
                           " unless it ends its tensor");
  }
  if (slabs_.IsKept(p)) {
    CopyFragments(frame.payload, tensor.kept.data() + tensor.received_bytes);
  } else {
    held_bytes_ += chunk_bytes;
    tensor.chunks.push_back({tensor.received_bytes,
                             tensor.received_bytes + chunk_bytes,
                             std::move(frame.payload), std::move(owner)});
  }
  tensor.received_bytes += chunk_bytes;
  received_bytes_ += chunk_bytes;
  if (tensor.received_bytes == size_bytes(p)) --num_incomplete_;
  return absl::OkStatus();
}

size_t Chunks::FirstWithout(int64_t slab) const {
  size_t p = 0;
  while (p < tensors_.size() &&
         tensors_[p].received_bytes >= slabs_.BytesOf(slab, p).end) {
    ++p;
  }
  return p;
}

bool Chunks::Has(int64_t slab) const {
  return FirstWithout(slab) == tensors_.size();
}

TensorInputs Chunks::PayloadsOf(int64_t slab) const {
  TensorInputs payloads(tensors_.size());
  for (size_t p = 0; p < tensors_.size(); ++p) {
    if (slabs_.IsKept(p)) {
      payloads[p] = {
          {tensors_[p].kept.data(), static_cast<size_t>(size_bytes(p))}};
      continue;
    }
    const Slabs::Range range = slabs_.BytesOf(slab, p);
    for (const Chunk& chunk : tensors_[p].chunks) {
      if (chunk.begin >= range.end) break;
      int64_t at = chunk.begin;
      for (const Fragment& fragment : chunk.bytes) {
        const auto end = at + static_cast<int64_t>(fragment.size_bytes);
        const int64_t from = std::max(at, range.begin);
        const int64_t to = std::min(end, range.end);
        if (from < to) {
          payloads[p].push_back(
              {fragment.data + (from - at), static_cast<size_t>(to - from)});
        }
        at = end;
      }
    }
  }
  return payloads;
}

void Chunks::Drop(int64_t slab) {
  for (size_t p = 0; p < tensors_.size(); ++p) {
    if (slabs_.IsKept(p)) continue;
    Tensor& tensor = tensors_[p];
    const int64_t end = slabs_.BytesOf(slab, p).end;
    held_bytes_ -= end - tensor.dropped_bytes;
    tensor.dropped_bytes = end;
    while (!tensor.chunks.empty() && tensor.chunks.front().end <= end) {
      tensor.chunks.pop_front();
    }
  }
}

absl::Status Chunks::WindowError(int64_t slab) const {
  const size_t lacking = FirstWithout(slab);
  int64_t furthest = 0;
  size_t ahead = 0;
  for (size_t p = 0; p < tensors_.size(); ++p) {
    if (slabs_.IsKept(p) || tensors_[p].received_bytes < furthest) continue;
    furthest = tensors_[p].received_bytes;
    ahead = p;
  }
  return InvalidArgument("tensor ", lacking, " has come to byte ",
                         tensors_[lacking].received_bytes, ", but tensor ",
                         ahead, " to ", furthest,
                         ": more wait for it than the window of ",
                         slabs_.window_bytes(), " bytes");
}

absl::Status Chunks::EndError() const {
  for (size_t p = 0; p < tensors_.size(); ++p) {
    if (tensors_[p].received_bytes == size_bytes(p)) continue;
    return InvalidArgument("tensor ", p, ": the stream ended at offset ",
                           tensors_[p].received_bytes, ", expected ",
                           size_bytes(p));
  }
  return absl::OkStatus();
}

}  // namespace actserve
