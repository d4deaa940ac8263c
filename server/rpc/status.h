#ifndef ACTSERVE_SERVER_RPC_STATUS_H_
#define ACTSERVE_SERVER_RPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"

namespace actserve {

// Bound on what the message of one error adds to the trailers: clients refuse
// headers of more than 8 KiB by default, and would then see no error at all.
inline constexpr int kMaxEncodedMessageBytes = 2304;

// The one place where a Status goes onto the wire. Codes are equal by number;
// payloads become details of the google.rpc.Status in
// `grpc-status-details-bin`. Too long a message is cut, ending in "...".
grpc::Status ToGrpcStatus(const absl::Status& status);

// Finishes a call with `status`. With RESOURCE_EXHAUSTED goes, as trailer
// `grpc-retry-pushback-ms`, when to come back; clients that know it wait as
// long, and those that do not see an error as before.
void Finish(const absl::Status& status, grpc::CallbackServerContext* context,
            grpc::ServerUnaryReactor* reactor);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_STATUS_H_
