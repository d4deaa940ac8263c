#include "client/cpp/server_calls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/connect/address.h"
#include "client/cpp/stream/choice.h"
#include "client/cpp/stream/exchange.h"
#include "kernels/base/status_macros.h"
#include "proto/shared_memory/control.h"

namespace actserve {
namespace {

using Slices = std::vector<grpc::Slice>;
using Outputs = absl::Span<const absl::Span<std::byte>>;

constexpr absl::string_view kUnixScheme = "unix:";

// "traceparent\ntracestate", or "".
std::string TraceOf(const Bounds& bounds) {
  std::string trace;
  for (const auto& [name, value] : bounds.headers) {
    absl::StrAppend(&trace, trace.empty() ? "" : "\n", value);
  }
  return trace;
}

}  // namespace

ServerCalls::ServerCalls(const std::string& address,
                         const Client::Options& options,
                         ChannelSecurity security)
    : replicas_(address, LookUpBySystem, std::move(security), options.channels),
      stream_from_bytes_(IsUnixSocket(address) ? kStreamFromBytesByUnixSocket
                                               : kStreamFromBytes) {
  const std::vector<std::string> places = SplitAddress(address);
  if (options.shared_memory && places.size() == 1 &&
      absl::StartsWith(places[0], kUnixScheme)) {
    // "unix:///path" is "unix:/path".
    std::string path = places[0].substr(kUnixScheme.size());
    if (absl::StartsWith(path, "//")) path.erase(0, 2);
    shared_.emplace(shared_memory::ControlPath(path),
                    options.max_shared_memory_bytes,
                    [this] { return replicas_.Token(); });
  }
}

absl::StatusOr<Slices> ServerCalls::Send(absl::string_view method,
                                         absl::Span<const ByteSpan> parts,
                                         Outputs outputs, const Bounds& bounds,
                                         ReplicaPtr& place) {
  if (shared_) {
    CallBounds shared_bounds = {.deadline = bounds.deadline};
    if (bounds.cancellation != nullptr) {
      shared_bounds.is_cancelled = [&] {
        return bounds.cancellation->cancelled();
      };
    }
    if (shared_->IsOnDevice(parts, outputs)) {
      return shared_->CallOnDevice(method, parts, outputs, shared_bounds,
                                   bounds.device_stream, TraceOf(bounds));
    }
    if (auto slices = shared_->Call(method, parts, outputs, shared_bounds,
                                    TraceOf(bounds))) {
      return *std::move(slices);
    }
  }
  size_t sent_bytes = 0;
  for (const ByteSpan part : parts) sent_bytes += part.size();
  size_t received_bytes = 0;
  for (const auto& output : outputs) received_bytes += output.size();
  absl::Status refused;
  if (std::max(sent_bytes, received_bytes) < stream_from_bytes_) {
    auto reply = SendUnary(method, parts, bounds, place);
    if (reply.ok() || !IsOverMessageLimit(reply.status())) return reply;
    refused = reply.status();
  }
  ACTSERVE_ASSIGN_OR_RETURN(SplitResponse request, Split(parts));
  const StreamUse use =
      has_streams_ ? StreamUseOf(method, request) : StreamUse::kNever;
  if (sent_bytes > kMaxUnaryBytes) {
    refused = absl::ResourceExhaustedError(
        absl::StrCat("request of ", sent_bytes, " bytes, limit ",
                     kMaxUnaryBytes, "; send the batch in parts"));
  } else if (refused.ok() && use != StreamUse::kFromSize) {
    auto reply = SendUnary(method, parts, bounds, place);
    if (reply.ok() || !IsOverMessageLimit(reply.status())) return reply;
    refused = reply.status();
  }
  if (use == StreamUse::kNever) return refused;
  StreamExchange exchange(method, std::move(request), outputs);
  auto reply = replicas_.Stream(kService, exchange, bounds, place);
  if (reply.ok()) return std::move(reply->slices);
  if (!absl::IsUnimplemented(reply.status())) return reply.status();
  // An older server.
  has_streams_ = false;
  if (!refused.ok()) return refused;
  return SendUnary(method, parts, bounds, place);
}

absl::StatusOr<Slices> ServerCalls::SendUnary(absl::string_view method,
                                              absl::Span<const ByteSpan> parts,
                                              const Bounds& bounds,
                                              ReplicaPtr& place) {
  ACTSERVE_ASSIGN_OR_RETURN(
      RawStub::Reply reply,
      replicas_.Call(absl::StrCat(kService, method), parts, bounds, place));
  return std::move(reply.slices);
}

}  // namespace actserve
