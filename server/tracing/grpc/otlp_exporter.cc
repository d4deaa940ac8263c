#include "server/tracing/grpc/otlp_exporter.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "server/observe/log.h"

namespace actserve {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using opentelemetry::proto::collector::trace::v1::TraceService;

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  // A proxy of the environment is for other traffic.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

OtlpExporter::OtlpExporter(const std::string& endpoint, TraceResource resource,
                           TraceQueue* queue)
    : resource_(std::move(resource)),
      queue_(*queue),
      stub_(TraceService::NewStub(ChannelTo(endpoint))),
      thread_([this] { Run(); }) {}

OtlpExporter::~OtlpExporter() { Stop(); }

void OtlpExporter::Stop() {
  if (!thread_.joinable()) return;
  queue_.Close();
  {
    absl::MutexLock lock(&mu_);
    if (!mu_.AwaitWithTimeout(absl::Condition(&ended_), kStopTimeout)) {
      cancelled_ = true;
      if (running_ != nullptr) running_->TryCancel();
    }
  }
  thread_.join();
}

void OtlpExporter::Run() {
  while (true) {
    const std::vector<TracedCall> calls =
        queue_.Take(kMaxBatchCalls, kPatience);
    if (calls.empty()) break;
    Export(calls);
    LogDrops(/*at_the_end=*/false);
  }
  LogDrops(/*at_the_end=*/true);
  absl::MutexLock lock(&mu_);
  ended_ = true;
}

void OtlpExporter::Export(const std::vector<TracedCall>& calls) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kExportTimeout));
  // A collector that restarts is waited for.
  context.set_wait_for_ready(true);
  bool cancelled = false;
  {
    absl::MutexLock lock(&mu_);
    cancelled = cancelled_;
    running_ = &context;
  }
  ExportTraceServiceResponse response;
  const grpc::Status status =
      cancelled ? grpc::Status(grpc::StatusCode::CANCELLED, "stopping")
                : stub_->Export(&context, ToOtlp(calls, resource_), &response);
  {
    absl::MutexLock lock(&mu_);
    running_ = nullptr;
  }
  if (!status.ok()) {
    num_dropped_ += static_cast<int64_t>(calls.size());
    reason_ = status.error_message();
  } else if (response.partial_success().rejected_spans() > 0) {
    ++num_dropped_;
    reason_ = response.partial_success().error_message();
  }
}

void OtlpExporter::LogDrops(bool at_the_end) {
  if (const int64_t full = queue_.TakeNumDropped(); full > 0) {
    num_dropped_ += full;
    if (reason_.empty()) reason_ = "the queue is full";
  }
  const absl::Time now = absl::Now();
  if (num_dropped_ == 0 || (now - logged_ < kLogInterval && !at_the_end)) {
    return;
  }
  LogEvent(LogLevel::kWarning, "traces_dropped",
           {{"calls", std::exchange(num_dropped_, 0)},
            {"reason", std::exchange(reason_, "")}});
  logged_ = now;
}

}  // namespace actserve
