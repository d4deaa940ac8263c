#include "server/kserve/inference.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"

namespace actserve::kserve {

void Inference::Infer(absl::Span<const Fragment> bytes) {
  if (absl::Status status =
          Split(bytes, parts().limits.split, &raw_,
                {inference::ModelInferRequest::kRawInputContentsFieldNumber});
      !status.ok()) {
    return Fail(status);
  }
  const bool has_two_ids =
      raw_.repeated_fields >> inference::ModelInferRequest::kIdFieldNumber & 1;
  if (!has_two_ids) id_ = TakeId(&raw_.metadata);
  if (!is_streamed_ && RunKnown()) return;
  absl::StatusOr<InferRequest> request = Read();
  if (!request.ok()) return Fail(request.status());
  Remember(*request);
  output_regions_ = std::move(request->output_regions);
  if (request->timeout.has_value()) {
    BringDeadlineForward(received() + *request->timeout);
  }
  Run(request->method, std::move(request->split));
}

bool Inference::RunKnown() {
  std::shared_ptr<const KnownRequest> known = state_.known.Find(raw_);
  if (known == nullptr ||
      parts().registry.Find(known->activation, caller().tenant) == nullptr) {
    return false;
  }
  known_ = std::move(known);
  if (known_->timeout.has_value()) {
    BringDeadlineForward(received() + *known_->timeout);
  }
  Run(known_->method, NativeRequest(*known_, raw_));
  return true;
}

absl::StatusOr<InferRequest> Inference::Read() {
  if (!message_.ParseFromString(raw_.metadata)) {
    return InvalidArgument("request is not a valid protobuf message");
  }
  if (id_.empty()) id_ = message_.id();
  return Translate(message_, raw_, parts().registry, caller().tenant,
                   [this](const RegionRange& range, absl::string_view what) {
                     return ReadRegion(range, what);
                   });
}

void Inference::Remember(const InferRequest& request) {
  new_ = std::make_shared<KnownRequest>();
  new_->model_name = message_.model_name();
  new_->activation = ActivationNameOf(request.model, message_.model_name());
  new_->method = request.method;
  new_->native_metadata = request.split.metadata;
  new_->raw_places = request.raw_places;
  new_->timeout = request.timeout;
  known_ = new_;
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
  if (new_ != nullptr) {
    new_->response_head =
        InferResponseHead(new_->model_name, outputs, is_streamed_);
    // A request with tensors in its metadata or in shared memory is another one
    // each time.
    const bool is_raw = std::ranges::none_of(new_->raw_places, [](int place) {
      return place == InferRequest::kNotRaw;
    });
    if (!is_streamed_ && is_raw && output_regions_.empty()) {
      state_.known.Put(raw_, std::move(new_));
    }
  }
  EncodedResponse response =
      EncodeInferResponse(known_->response_head, id_, std::move(outputs));
  state_.statistics.CountSuccess(
      caller().tenant, known_->model_name,
      {.total = absl::Now() - received(), .queue = queue, .stages = stages});
  Respond(std::move(response), stages);
}

void Inference::Fail(const absl::Status& status) {
  if (known_ != nullptr) {
    state_.statistics.CountFailure(caller().tenant, known_->model_name,
                                   absl::Now() - received());
  }
  Refuse(status);
}

}  // namespace actserve::kserve
