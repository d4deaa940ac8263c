#ifndef ACTSERVE_SERVER_SHARED_MEMORY_REQUEST_COPY_H_
#define ACTSERVE_SERVER_SHARED_MEMORY_REQUEST_COPY_H_

#include "absl/status/statusor.h"
#include "proto/shared_memory/ring.h"

namespace actserve {

// Returns a copy of a request that its client may change meanwhile. The copy's
// operation is one of those that there are, its counts are within the limits of
// the ring, and its pieces in the slot do not go beyond the slot; nothing is
// known of its regions.
//   InvalidArgument  what it says is none of that
absl::StatusOr<shared_memory::Request> CopyRequest(
    const shared_memory::Request& theirs);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SHARED_MEMORY_REQUEST_COPY_H_
