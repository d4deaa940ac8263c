#ifndef ACTSERVE_SERVER_TRACING_GRPC_CALL_HEADERS_H_
#define ACTSERVE_SERVER_TRACING_GRPC_CALL_HEADERS_H_

#include "grpcpp/server_context.h"
#include "server/tracing/call_observer.h"

namespace actserve {

// The headers of a call that tell its trace and its id. They are views of
// memory of `context`. Of a header that comes twice, one is taken.
CallHeaders HeadersOf(const grpc::CallbackServerContext& context);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_TRACING_GRPC_CALL_HEADERS_H_
