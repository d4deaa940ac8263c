#ifndef ACTSERVE_SERVER_RPC_PLANTED_FAULTS_H_
#define ACTSERVE_SERVER_RPC_PLANTED_FAULTS_H_

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "kernels/base/failpoint.h"

namespace actserve {

// What a server with a defect would do at the end of a call: the tests that
// guard against that must fail. Does nothing but in actserved_faults. Returns
// false if the answer is to be lost; may change it.
#ifdef ACTSERVE_FAILPOINTS
bool PassesPlantedFaults(absl::Status* status, grpc::ByteBuffer* answer);
#else
inline bool PassesPlantedFaults(absl::Status* /*status*/,
                                grpc::ByteBuffer* /*answer*/) {
  return true;
}
#endif

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_PLANTED_FAULTS_H_
