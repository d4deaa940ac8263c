#include "server/control/control_methods.h"

#include <utility>

#include "proto/duration.h"
#include "server/message/activation_info.h"
#include "server/message/control_request.h"
#include "server/message/errors.h"

namespace actserve {
namespace {

// Limit on the warnings and notes in the answer to a registration.
constexpr size_t kMaxWarningBytes = size_t{64} << 10;

void SetCounters(const SchedulerCounters& counters, int64_t num_launches,
                 v1::DeviceCounters* message) {
  message->set_num_inline_requests(counters.num_inline_jobs);
  message->set_num_queued_requests(counters.num_queued_jobs);
  message->set_num_batches(counters.num_batches);
  for (int64_t count : counters.batch_sizes) message->add_batch_sizes(count);
  *message->mutable_total_queue_wait() = ToProto(counters.queue_wait);
  *message->mutable_max_queue_wait() = ToProto(counters.max_queue_wait);
  message->set_num_launches(num_launches);
  message->set_num_refused(counters.num_refused);
  message->set_num_expired(counters.num_expired);
  message->set_num_cancelled(counters.num_cancelled);
  message->set_num_failed(counters.num_failed);
  message->set_num_reruns(counters.num_reruns);
  message->set_num_waiting(counters.num_waiting);
  message->set_waiting_bytes(counters.waiting_bytes);
  message->set_num_running_batches(counters.num_running_batches);
}

}  // namespace

ControlMethods::ControlMethods(v1::ServerInfo info, const ServingParts& parts)
    : parts_(parts), info_(std::move(info)) {}

void ControlMethods::set_addresses(const std::vector<std::string>& addresses) {
  absl::MutexLock lock(&mu_);
  info_.mutable_addresses()->Assign(addresses.begin(), addresses.end());
}

absl::StatusOr<v1::RegisterActivationResponse>
ControlMethods::RegisterActivation(
    const CallerId& caller, const v1::RegisterActivationRequest& request) {
  std::vector<Diagnostic> diagnostics;
  auto registration =
      parts_.registry.Register(TextOf(request), &diagnostics, caller.tenant);
  if (!registration.ok()) {
    return WithDiagnostics(registration.status(), diagnostics);
  }
  v1::RegisterActivationResponse response;
  *response.mutable_activation() =
      Details(*registration->activation, /*with_gradients=*/false);
  AddDiagnostics(diagnostics, kMaxWarningBytes, response.mutable_diagnostics());
  response.set_created(registration->created);
  return response;
}

absl::StatusOr<v1::Activation> ControlMethods::GetActivation(
    const CallerId& caller, const v1::GetActivationRequest& request) {
  auto found = parts_.registry.Find(request.activation(), caller.tenant);
  if (found == nullptr) return ActivationUnknownError(request.activation());
  return Details(*found, request.with_gradients());
}

absl::StatusOr<v1::ListActivationsResponse> ControlMethods::ListActivations(
    const CallerId& caller, const v1::ListActivationsRequest& request) {
  return ListPage(request, parts_.registry, caller.tenant);
}

v1::ReleaseResidualsResponse ControlMethods::ReleaseResiduals(
    const CallerId& caller, const v1::ReleaseResidualsRequest& request) {
  int num_released = 0;
  for (const std::string& handle : request.handles()) {
    if (parts_.residuals.Release(handle, caller.tenant)) ++num_released;
  }
  v1::ReleaseResidualsResponse response;
  response.set_num_released(num_released);
  return response;
}

v1::ServerInfo ControlMethods::GetServerInfo() {
  v1::ServerInfo info;
  {
    absl::MutexLock lock(&mu_);
    info = info_;
  }
  SetCounters(parts_.scheduler.counters(), parts_.device.num_launches(),
              info.mutable_devices(0)->mutable_counters());
  return info;
}

}  // namespace actserve
