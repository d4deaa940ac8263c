#include "server/testing/otlp_sink.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace actserve::testing {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

OtlpSink::OtlpSink() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

OtlpSink::~OtlpSink() {
  Hang(false);
  server_->Shutdown();
  server_->Wait();
}

void OtlpSink::Hang(bool hang) {
  absl::MutexLock lock(&mutex_);
  hang_ = hang;
}

std::vector<OtlpSink::Span> OtlpSink::AwaitSpans(size_t num_spans) {
  const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return spans_.size() >= num_spans;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&came), absl::Minutes(1));
  return spans_;
}

std::vector<OtlpSink::Request> OtlpSink::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

int64_t OtlpSink::num_calls() const {
  absl::MutexLock lock(&mutex_);
  return num_calls_;
}

grpc::Status OtlpSink::Export(grpc::ServerContext* context,
                              const Request* request,
                              ExportTraceServiceResponse* /*response*/) {
  absl::MutexLock lock(&mutex_);
  ++num_calls_;
  while (hang_ && !context->IsCancelled()) {
    const auto goes_on = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !hang_;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&goes_on), absl::Milliseconds(10));
  }
  if (context->IsCancelled()) return grpc::Status::CANCELLED;
  requests_.push_back(*request);
  for (const auto& resource : request->resource_spans()) {
    for (const auto& scope : resource.scope_spans()) {
      spans_.insert(spans_.end(), scope.spans().begin(), scope.spans().end());
    }
  }
  return grpc::Status::OK;
}

std::string AttributeOf(const OtlpSink::Span& span, const std::string& key) {
  for (const auto& attribute : span.attributes()) {
    if (attribute.key() != key) continue;
    return attribute.value().has_string_value()
               ? attribute.value().string_value()
               : absl::StrCat(attribute.value().int_value());
  }
  return "";
}

}  // namespace actserve::testing
