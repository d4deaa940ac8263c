// Every check on the requests that carry no tensors, and their limits. They are
// served from bytes like the others, so that a request is measured before it is
// parsed: parsing can take 33 times the memory of the bytes.

#ifndef ACTSERVE_SERVER_MESSAGE_CONTROL_REQUEST_H_
#define ACTSERVE_SERVER_MESSAGE_CONTROL_REQUEST_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actserve/v1/service.pb.h"
#include "kernels/lang/limits.h"
#include "server/state/registry.h"

namespace actserve {

inline constexpr int kMaxConstants = 64;
inline constexpr int kMaxReleasedHandles = 1024;
inline constexpr int kDefaultPageSize = 100;
inline constexpr int kMaxPageSize = 1000;
// A page of ListActivations ends once it has as many bytes.
inline constexpr size_t kMaxPageBytes = size_t{1} << 20;

// Limit on the bytes of a request of any method but these: RegisterActivation,
// and those with tensors. kMaxReleasedHandles handles fit.
inline constexpr int64_t kMaxControlMessageBytes = 32 << 10;

// Limit on the bytes of a RegisterActivation: two texts and the constants.
int64_t MaxRegistrationBytes(const LanguageLimits& limits);

// Each returns InvalidArgument, with what is wrong and the limit.
absl::Status Check(const v1::RegisterActivationRequest& request);
absl::Status Check(const v1::GetActivationRequest& request);
absl::Status Check(const v1::ListActivationsRequest& request);
absl::Status Check(const v1::ReleaseResidualsRequest& request);
absl::Status Check(const v1::GetServerInfoRequest& request);

// The text of a request that passed its check.
Registry::Text TextOf(const v1::RegisterActivationRequest& request);

// The page that a request of a tenant asks for, if it passed its check.
//   InvalidArgument  page_token is not from this registry
absl::StatusOr<v1::ListActivationsResponse> ListPage(
    const v1::ListActivationsRequest& request, const Registry& registry,
    const Tenant* tenant = nullptr);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_CONTROL_REQUEST_H_
