#ifndef ACTSERVE_SERVER_OBSERVE_SERVICE_NAME_H_
#define ACTSERVE_SERVER_OBSERVE_SERVICE_NAME_H_

namespace actserve {

// The service of proto/actserve/v1/service.proto, as metrics and traces call
// it.
inline constexpr char kServiceName[] = "actserve.v1.ActivationService";
// KServe v2.
inline constexpr char kKserveServiceName[] = "inference.GRPCInferenceService";

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OBSERVE_SERVICE_NAME_H_
