// The part of actserve.h for bindings of other languages.

#include <cstddef>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "client/c/actserve.h"
#include "client/c/handles.h"
#include "kernels/base/status_macros.h"

namespace {

using ByteSpan = absl::Span<const std::byte>;

absl::Status Call(actserve_client& client, actserve_encoded_call* given,
                  actserve_reply** reply) {
  if (given == nullptr) return actserve::Missing("call");
  ACTSERVE_ASSIGN_OR_RETURN(actserve_encoded_call call,
                            actserve::Read(given, "actserve_encoded_call"));
  if (call.method == nullptr) return actserve::Missing("method");
  if (call.parts == nullptr && call.num_parts > 0) {
    return actserve::Missing("parts");
  }
  if (call.outputs == nullptr && call.num_outputs > 0) {
    return actserve::Missing("outputs");
  }
  actserve::CallOptions options;
  ACTSERVE_RETURN_IF_ERROR(
      actserve::SetTimeout(call.timeout_seconds, options.timeout));
  actserve::SetTrace(call.traceparent, call.tracestate, options);
  if (call.has_device_stream != 0) options.device_stream = call.device_stream;
  options.cancellation = &client.cancellation;
  absl::InlinedVector<ByteSpan, 8> request;
  for (const actserve_bytes& part :
       absl::MakeSpan(call.parts, call.num_parts)) {
    request.emplace_back(static_cast<const std::byte*>(part.data), part.size);
  }
  absl::InlinedVector<absl::Span<std::byte>, 4> outputs;
  for (const actserve_bytes& output :
       absl::MakeSpan(call.outputs, call.num_outputs)) {
    outputs.emplace_back(static_cast<std::byte*>(output.data), output.size);
  }

  absl::Status status;
  if (reply == nullptr) {
    status = client.client->CallInto(call.method, request, outputs, options,
                                     &call.place);
  } else {
    auto answer = client.client->CallEncoded(call.method, request, outputs,
                                             options, &call.place);
    status = answer.status();
    if (answer.ok()) *reply = new actserve_reply{*std::move(answer)};
  }
  // An older caller has no place.
  if (given->size >=
      offsetof(actserve_encoded_call, place) + sizeof(call.place)) {
    given->place = call.place;
  }
  return status;
}

}  // namespace

actserve_status* actserve_call(actserve_client* client,
                               actserve_encoded_call* call,
                               actserve_reply** reply) {
  return actserve::ToStatus(Call(*client, call, reply));
}
actserve_bytes actserve_reply_header(const actserve_reply* reply) {
  const std::string& header = reply->reply.header;
  return {const_cast<char*>(header.data()), header.size()};
}
size_t actserve_reply_num_payloads(const actserve_reply* reply) {
  return reply->reply.payloads.size();
}
actserve_bytes actserve_reply_payload(const actserve_reply* reply,
                                      size_t index) {
  const absl::Span<const std::byte> payload = reply->reply.payloads[index];
  return {const_cast<std::byte*>(payload.data()), payload.size()};
}
void actserve_reply_free(actserve_reply* reply) { delete reply; }
