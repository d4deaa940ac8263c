#include "server/kserve/inference.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve::kserve {

void Inference::Infer(absl::Span<const Fragment> bytes) {
  absl::StatusOr<InferRequest> request = Read(bytes);
  if (!request.ok()) return Fail(request.status());
  has_model_ = true;
  output_regions_ = std::move(request->output_regions);
  if (request->timeout.has_value()) {
    BringDeadlineForward(received() + *request->timeout);
  }
  Run(request->method, std::move(request->split));
}

absl::StatusOr<InferRequest> Inference::Read(absl::Span<const Fragment> bytes) {
  ACTSERVE_RETURN_IF_ERROR(
      Split(bytes, parts().limits.split, &raw_,
            {inference::ModelInferRequest::kRawInputContentsFieldNumber}));
  if (!message_.ParseFromString(raw_.metadata)) {
    message_.Clear();
    return InvalidArgument("request is not a valid protobuf message");
  }
  return Translate(message_, raw_, parts().registry, caller().tenant,
                   [this](const RegionRange& range, absl::string_view what) {
                     return ReadRegion(range, what);
                   });
}

absl::StatusOr<Fragment> Inference::ReadRegion(const RegionRange& range,
                                               absl::string_view what) {
  if (state_.regions == nullptr) {
    return InvalidArgument(what,
                           ": shared memory is not served here: start the "
                           "server with --kserve_shared_memory");
  }
  ACTSERVE_RETURN_IF_ERROR(state_.regions->Check(caller(), range, what));
  if (range.size_bytes == 0) return Fragment{};
  ACTSERVE_ASSIGN_OR_RETURN(
      MemoryBudget::Charge charge,
      parts().memory.Take(MemoryBudget::Half::kRequests, caller(),
                          BufferPool::CapacityBytes(range.size_bytes)));
  Buffer& buffer =
      from_regions_.emplace_back(parts().buffers.Get(range.size_bytes));
  buffer.Hold(std::move(charge));
  ACTSERVE_RETURN_IF_ERROR(state_.regions->Read(
      caller(), range, what, {buffer.data(), buffer.size_bytes()}));
  return Fragment{buffer.data(), buffer.size_bytes()};
}

absl::Status Inference::WriteRegions(std::vector<InferOutput>& outputs) {
  for (size_t i = 0; i < output_regions_.size(); ++i) {
    if (!output_regions_[i].has_value()) continue;
    const std::string what = absl::StrCat("outputs[", i, "]");
    if (state_.regions == nullptr) {
      return InvalidArgument(what, ": shared memory is not served here");
    }
    Buffer& elements = outputs[i].elements;
    ACTSERVE_RETURN_IF_ERROR(
        state_.regions->Write(caller(), *output_regions_[i], what,
                              {elements.data(), elements.size_bytes()}));
    elements = Buffer();
  }
  return absl::OkStatus();
}

void Inference::Succeed(TensorResult result) {
  const Stages stages = result.stages;
  const absl::Duration queue = result.queue;
  std::vector<InferOutput> outputs =
      OutputsOf(request(), std::move(result), parts().buffers);
  if (absl::Status status = WriteRegions(outputs); !status.ok()) {
    return Fail(status);
  }
  EncodedResponse response =
      EncodeInferResponse(message_, std::move(outputs), is_streamed_);
  state_.statistics.CountSuccess(
      caller().tenant, message_.model_name(),
      {.total = absl::Now() - received(), .queue = queue, .stages = stages});
  Respond(std::move(response), stages);
}

void Inference::Fail(const absl::Status& status) {
  if (has_model_) {
    state_.statistics.CountFailure(caller().tenant, message_.model_name(),
                                   absl::Now() - received());
  }
  Refuse(status);
}

}  // namespace actserve::kserve
