#include "server/tracing/grpc/call_headers.h"

namespace actserve {

CallHeaders HeadersOf(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto find = [&](const char* name) {
    const auto found = metadata.find(name);
    return found == metadata.end()
               ? absl::string_view()
               : absl::string_view(found->second.data(), found->second.size());
  };
  return {.traceparent = find("traceparent"),
          .tracestate = find("tracestate"),
          .request_id = find("x-request-id")};
}

}  // namespace actserve
