#ifndef ACTSERVE_SERVER_TESTING_OTLP_SINK_H_
#define ACTSERVE_SERVER_TESTING_OTLP_SINK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace actserve::testing {

// A collector in the test's process that keeps what it gets. It listens on
// loopback. Thread-safe.
class OtlpSink final : private opentelemetry::proto::collector::trace::v1::
                           TraceService::Service {
 public:
  using Span = opentelemetry::proto::trace::v1::Span;
  using Request =
      opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

  OtlpSink();
  // Lets go of the calls that it holds.
  ~OtlpSink() override;

  // "127.0.0.1:<port>".
  const std::string& address() const { return address_; }

  // True: calls get no answer until their deadline, or false.
  void Hang(bool hang);

  // Waits up to a minute for so many spans. Returns all that came, in the order
  // they came.
  std::vector<Span> AwaitSpans(size_t num_spans);
  // The requests so far.
  std::vector<Request> requests() const;
  // Calls that came, those without an answer included.
  int64_t num_calls() const;

 private:
  grpc::Status Export(
      grpc::ServerContext* context, const Request* request,
      opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse*
          response) override;

  std::string address_;
  mutable absl::Mutex mutex_;
  bool hang_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<Span> spans_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

// The value of an attribute of a span as text; "" if it has none.
std::string AttributeOf(const OtlpSink::Span& span, const std::string& key);

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_OTLP_SINK_H_
