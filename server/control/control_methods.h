#ifndef ACTSERVE_SERVER_CONTROL_CONTROL_METHODS_H_
#define ACTSERVE_SERVER_CONTROL_CONTROL_METHODS_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "actserve/v1/service.pb.h"
#include "server/evaluation/serving_parts.h"
#include "server/scheduling/caller_id.h"

namespace actserve {

// The methods of proto/actserve/v1/service.proto that carry no tensors, without
// a transport. Every request must have passed its Check() of
// server/message/control_request.h. Thread-safe.
class ControlMethods {
 public:
  // `info` is the part of ServerInfo that does not change; it has one device.
  // `parts` must outlive this object.
  ControlMethods(v1::ServerInfo info, const ServingParts& parts);

  // Sets the addresses for GetServerInfo(), which are known only once the
  // server listens.
  void set_addresses(const std::vector<std::string>& addresses);

  // Up to half a second for a text within the limits.
  //   InvalidArgument  the text has errors, which are attached
  absl::StatusOr<v1::RegisterActivationResponse> RegisterActivation(
      const CallerId& caller, const v1::RegisterActivationRequest& request);
  //   NotFound  ACTIVATION_UNKNOWN
  absl::StatusOr<v1::Activation> GetActivation(
      const CallerId& caller, const v1::GetActivationRequest& request);
  //   InvalidArgument  page_token is not from this server
  absl::StatusOr<v1::ListActivationsResponse> ListActivations(
      const CallerId& caller, const v1::ListActivationsRequest& request);
  v1::ReleaseResidualsResponse ReleaseResiduals(
      const CallerId& caller, const v1::ReleaseResidualsRequest& request);
  v1::ServerInfo GetServerInfo();

 private:
  const ServingParts& parts_;
  absl::Mutex mu_;
  v1::ServerInfo info_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_CONTROL_CONTROL_METHODS_H_
