#ifndef ACTSERVE_SERVER_METRICS_CALLS_OTHER_CALLS_H_
#define ACTSERVE_SERVER_METRICS_CALLS_OTHER_CALLS_H_

#include "grpcpp/generic/async_generic_service.h"
#include "server/metrics/call_metrics.h"

namespace actserve {

// Answers calls of methods that no service has with UNIMPLEMENTED, as gRPC
// does, and counts them. Thread-safe.
class OtherCalls final : public grpc::CallbackGenericService {
 public:
  // `metrics` may be null; otherwise it must outlive this object.
  explicit OtherCalls(CallMetrics* metrics) : metrics_(metrics) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  CallMetrics* const metrics_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_CALLS_OTHER_CALLS_H_
