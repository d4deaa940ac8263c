#ifndef ACTSERVE_SERVER_TRACING_GRPC_OTLP_EXPORTER_H_
#define ACTSERVE_SERVER_TRACING_GRPC_OTLP_EXPORTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "server/tracing/grpc/otlp_spans.h"
#include "server/tracing/trace_queue.h"

namespace actserve {

// Exports the calls of a queue to an OpenTelemetry collector, in batches, over
// OTLP with gRPC and without TLS. Has a thread of its own.
//
// A collector that is slow or gone loses traces, and nothing else: a batch that
// it does not take in time is dropped, and so is what finds the queue full
// meanwhile. Drops are counted, and logged at most once a minute, and at the
// end.
class OtlpExporter {
 public:
  // Calls in one message.
  static constexpr size_t kMaxBatchCalls = 512;
  // How long a call waits for others, and a batch for the collector.
  static constexpr absl::Duration kPatience = absl::Seconds(1);
  static constexpr absl::Duration kExportTimeout = absl::Seconds(10);
  // How long Stop() takes at most.
  static constexpr absl::Duration kStopTimeout = absl::Seconds(2);
  static constexpr absl::Duration kLogInterval = absl::Minutes(1);

  // `endpoint` is host:port. Connects when there is something to export.
  // `queue` must outlive this object.
  OtlpExporter(const std::string& endpoint, TraceResource resource,
               TraceQueue* queue);
  // Stops.
  ~OtlpExporter();

  // Closes the queue, exports what is in it within kStopTimeout, and drops the
  // rest.
  void Stop();

 private:
  void Run();
  void Export(const std::vector<TracedCall>& calls);
  void LogDrops(bool at_the_end);

  const TraceResource resource_;
  TraceQueue& queue_;
  const std::unique_ptr<
      opentelemetry::proto::collector::trace::v1::TraceService::Stub>
      stub_;
  // Of the thread.
  int64_t num_dropped_ = 0;
  std::string reason_;
  absl::Time logged_ = absl::InfinitePast();

  absl::Mutex mu_;
  // The export that runs; null: none.
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_GRPC_OTLP_EXPORTER_H_
