#include "server/shared_memory/shared_call.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/status_macros.h"
#include "server/evaluation/count_stages.h"
#include "server/evaluation/output_places.h"

namespace actserve {
namespace {

// What a call takes beside the bytes of its slot.
constexpr int64_t kCallBytes = 4 << 10;

using shared_memory::kInSlot;
using shared_memory::Piece;

TensorMethod MethodOf(const shared_memory::Request& request) {
  return request.operation == shared_memory::Operation::kForward
             ? TensorMethod::kForward
             : TensorMethod::kBackward;
}

// "traceparent\ntracestate".
CallHeaders HeadersOf(absl::string_view trace) {
  const size_t end = std::min(trace.find('\n'), trace.size());
  return {.traceparent = trace.substr(0, end),
          .tracestate = trace.substr(std::min(end + 1, trace.size()))};
}

size_t SizeOf(absl::Span<const Fragment> message) {
  size_t size_bytes = 0;
  for (const Fragment& fragment : message) size_bytes += fragment.size_bytes;
  return size_bytes;
}

}  // namespace

void SharedCall::Start(std::shared_ptr<Session> session, uint32_t index,
                       const shared_memory::Request& request) {
  auto* const call = new SharedCall(std::move(session), index, request);
  if (absl::Status status = call->Prepare(request); !status.ok()) {
    return call->Fail(status);
  }
  call->Run(call->message_);
}

SharedCall::SharedCall(std::shared_ptr<Session> session, uint32_t index,
                       const shared_memory::Request& request)
    : TensorEvaluation(MethodOf(request), session->services().parts,
                       absl::Now(),
                       absl::FromUnixNanos(request.deadline_nanos)),
      session_(std::move(session)),
      index_(index) {
  if (!session_->services().observer.is_on()) return;
  record_ = std::make_unique<CallRecord>();
  record_->method = method() == TensorMethod::kForward ? "Forward" : "Backward";
  set_record(record_.get());
}

absl::Status SharedCall::Prepare(const shared_memory::Request& request) {
  is_counted_ = session_->services().calls.Enter();
  if (!is_counted_) {
    return absl::UnavailableError("the server is shutting down");
  }
  ACTSERVE_ASSIGN_OR_RETURN(caller_, session_->Admit(Role::kCompute));
  size_t slot_bytes = request.trace_bytes;
  for (size_t i = 0; i < request.num_pieces; ++i) {
    if (request.pieces[i].region == kInSlot) {
      slot_bytes += request.pieces[i].size_bytes;
    }
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      charge_,
      parts().memory.Take(MemoryBudget::Half::kRequests, caller_,
                          kCallBytes + static_cast<int64_t>(slot_bytes)));
  slot_bytes_.assign(
      reinterpret_cast<const char*>(session_->slot(index_).bytes.data()),
      slot_bytes);
  trace_ = absl::string_view(slot_bytes_).substr(0, request.trace_bytes);
  const auto* next = reinterpret_cast<const std::byte*>(slot_bytes_.data()) +
                     request.trace_bytes;
  for (size_t i = 0; i < request.num_pieces; ++i) {
    const Piece& piece = request.pieces[i];
    if (piece.size_bytes == 0) continue;
    if (piece.region == kInSlot) {
      message_.push_back({next, piece.size_bytes});
      next += piece.size_bytes;
    } else {
      ACTSERVE_ASSIGN_OR_RETURN(const std::byte* data, Find(piece));
      message_.push_back({data, piece.size_bytes});
      if (regions_.back()->is_on_device()) {
        device_places_.CountInput(piece.size_bytes);
      }
    }
  }
  for (size_t i = 0; i < request.num_outputs; ++i) {
    ACTSERVE_ASSIGN_OR_RETURN(std::byte * data, Find(request.outputs[i]));
    outputs_.push_back({data, request.outputs[i].size_bytes});
    if (regions_.back()->is_on_device()) {
      device_places_.CountOutput();
      device_outputs_ |= uint32_t{1} << i;
    }
  }
  const size_t message_bytes = SizeOf(message_);
  if (record_ != nullptr) {
    record_->request_bytes = static_cast<int64_t>(message_bytes);
  }
  if (CallMetrics* const metrics = session_->services().metrics) {
    metrics->CountReceived(static_cast<int64_t>(message_bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::byte*> SharedCall::Find(const Piece& piece) {
  std::shared_ptr<const Region> region = session_->FindRegion(piece.region);
  if (region == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no region ", piece.region));
  }
  std::byte* const data = region->At(piece.offset, piece.size_bytes);
  if (data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        piece.size_bytes, " bytes at ", piece.offset, " of region ",
        piece.region, ", which has ", region->size_bytes()));
  }
  regions_.push_back(std::move(region));
  return data;
}

std::byte* SharedCall::OnDevice(const std::byte* place) const {
  for (const std::shared_ptr<const Region>& region : regions_) {
    if (!region->is_on_device()) continue;
    const std::byte* const begin = region->At(0, 0);
    if (place >= begin && place < begin + region->size_bytes()) {
      return region->OnDevice(place);
    }
  }
  return nullptr;
}

absl::Status SharedCall::PlaceTensors(WorkItem& item) {
  return device_places_.Place(
      [this](const std::byte* place) { return OnDevice(place); }, item);
}

bool SharedCall::IsCancelled() const {
  return session_->is_closed() || session_->slot(index_).is_cancelled.load(
                                      std::memory_order_relaxed) != 0;
}

std::byte* SharedCall::PlaceOf(size_t tensor, int64_t size_bytes) {
  return OutputPlaces{outputs_, message_}.Find(request(), tensor, size_bytes);
}

void SharedCall::Respond(EncodedResponse response, const Stages& stages) {
  const auto response_bytes = static_cast<int64_t>(response.size_bytes());
  if (record_ != nullptr) record_->response_bytes = response_bytes;
  if (CallMetrics* const metrics = session_->services().metrics) {
    metrics->CountSent(response_bytes);
    CountStages(stages, metrics);
  }
  session_->Answer(index_, std::move(response), outputs_, device_outputs_);
  End(absl::StatusCode::kOk);
}

void SharedCall::Fail(const absl::Status& status) {
  session_->Fail(index_, status);
  End(status.code());
}

void SharedCall::End(absl::StatusCode code) {
  const SessionServices& services = session_->services();
  if (services.metrics != nullptr) {
    services.metrics->CountCall(method() == TensorMethod::kForward
                                    ? Method::kForward
                                    : Method::kBackward,
                                code, absl::Now() - received());
  }
  if (record_ != nullptr) {
    CompleteRecord(code);
    services.observer.Observe(std::move(*record_),
                              services.observer.IdsOf(HeadersOf(trace_)),
                              [] { return "shared memory"; });
  }
  CallCounter& calls = services.calls;
  const bool is_counted = is_counted_;
  delete this;
  if (is_counted) calls.Leave();
}

}  // namespace actserve
