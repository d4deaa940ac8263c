#ifndef ACTSERVE_SERVER_KSERVE_RPC_INFER_STREAM_H_
#define ACTSERVE_SERVER_KSERVE_RPC_INFER_STREAM_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/connections/open_streams.h"
#include "server/kserve/inference.h"
#include "server/message/response.h"
#include "server/rpc/listener.h"
#include "server/rpc/stream_call.h"

namespace actserve::kserve {

// The streaming gRPC door: a ModelStreamInfer, whose requests are answered one
// after the other. What is wrong with a request is said in its response, and
// the stream goes on; it ends when its client ends it, may no longer call, or
// has been silent for the body timeout.
//
// Each request is admitted and counted by itself, so that an open stream holds
// up no server that stops. Deletes itself when gRPC is done with it.
class InferStream final : public StreamReactor {
 public:
  // `parts` and the context must outlive the stream; the caller was admitted.
  InferStream(const CallerId& caller, const ServiceParts& parts,
              const InferState& state, grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  class Item;
  void ReadNext();
  // Sends the response to the request that was read.
  void Write(const grpc::ByteBuffer& response);
  void End(const absl::Status& status);

  const ServiceParts& parts_;
  const InferState& state_;
  grpc::CallbackServerContext& context_;
  const absl::Time received_ = absl::Now();
  // Null once gRPC is done with the call.
  std::unique_ptr<OpenStreams::Stream> open_;
  CallerId caller_;
  bool is_first_ = true;
  absl::StatusCode code_ = absl::StatusCode::kCancelled;
  // What gRPC reads into and writes from. One of them is under way at a time.
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_RPC_INFER_STREAM_H_
