#ifndef ACTSERVE_SERVER_RPC_STATUS_H_
#define ACTSERVE_SERVER_RPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/metrics/calls/call_reactor.h"

namespace actserve {

// Limit on the bytes that the message of one error adds to the trailers. By
// default clients refuse headers of more than 8 KiB, and would then see no
// error at all.
inline constexpr int kMaxEncodedMessageBytes = 2304;

// Converts a status for the wire; the only place that does. Codes are equal by
// number, and payloads become details of the google.rpc.Status in
// `grpc-status-details-bin`. A message that is too long is cut and ends in
// "...".
grpc::Status ToGrpcStatus(const absl::Status& status);

// The status that ends a call with `status`, whose trailers it sets in
// `context`; every answer of the service goes through here. Every error has the
// trailer `actserve-answered`, so that clients can tell it from one of gRPC or
// a proxy. For RESOURCE_EXHAUSTED the trailer `grpc-retry-pushback-ms` says
// when to retry: after RetryAfter(), or 100. A client that does not know the
// trailers just sees the error.
grpc::Status Conclude(const absl::Status& status,
                      grpc::CallbackServerContext* context);
// Finishes a unary call so.
void Finish(const absl::Status& status, grpc::CallbackServerContext* context,
            CallReactor* reactor);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_RPC_STATUS_H_
