#include "server/kserve/rpc/infer_stream.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/evaluation/count_stages.h"
#include "server/observe/service_name.h"
#include "server/rpc/byte_buffer.h"
#include "server/rpc/caller.h"
#include "server/rpc/control_calls.h"
#include "server/rpc/status.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve::kserve {
namespace {

using Response = inference::ModelStreamInferResponse;

// The ModelStreamInferResponse around a ModelInferResponse.
EncodedResponse Wrap(EncodedResponse response) {
  std::string prefix;
  AppendPrefix(Response::kInferResponseFieldNumber, response.size_bytes(),
               &prefix);
  response.pieces.front().bytes.insert(0, prefix);
  return response;
}

}  // namespace

// One request. Deletes itself at its end.
class InferStream::Item final : private Inference {
 public:
  // Takes the bytes of the request.
  Item(InferStream* stream, grpc::ByteBuffer& bytes)
      : Inference(stream->parts_.serving, stream->state_, /*is_streamed=*/true,
                  absl::Now(), absl::FromChrono(stream->context_.deadline())),
        stream_(*stream) {
    received_message_.bytes.Swap(&bytes);
    if (!observer().is_on()) return;
    record_ = std::make_unique<CallRecord>();
    record_->service = kKserveServiceName;
    record_->method = NameOf(Method::kModelStreamInfer);
    record_->request_bytes = SizeOf(received_message_.bytes);
    set_record(record_.get());
  }

  void Start() {
    const absl::StatusOr<std::vector<Fragment>> bytes = received_message_.Open(
        caller(), parts().memory, stream_.parts_.metrics);
    if (!bytes.ok()) return Refuse(bytes.status());
    Infer(*bytes);
  }

 private:
  CallObserver& observer() const { return stream_.parts_.observer; }
  CallerId caller() const override { return stream_.caller_; }
  bool IsCancelled() const override { return stream_.context_.IsCancelled(); }
  void Respond(EncodedResponse response, const Stages& stages) override {
    if (CallMetrics* const metrics = stream_.parts_.metrics) {
      CountStages(stages, metrics);
    }
    End(absl::StatusCode::kOk,
        ToByteBuffer(Wrap(std::move(response)), &stream_.parts_.calls));
  }
  void Refuse(const absl::Status& status) override {
    Response response;
    response.set_error_message(ToGrpcStatus(status).error_message());
    response.mutable_infer_response()->set_id(id());
    End(status.code(), WriteMessage(response, {}));
  }
  void End(absl::StatusCode code, const grpc::ByteBuffer& response) {
    if (record_ != nullptr) {
      record_->response_bytes = SizeOf(response);
      CompleteRecord(code);
      observer().Observe(std::move(*record_),
                         observer().IdsOf(HeadersOf(stream_.context_)),
                         [this] { return stream_.context_.peer(); });
    }
    InferStream& stream = stream_;
    delete this;
    stream.Write(response);
  }

  InferStream& stream_;
  ReceivedMessage received_message_;
  // Null: nobody wants to know.
  std::unique_ptr<CallRecord> record_;
};

InferStream::InferStream(const CallerId& caller, const ServiceParts& parts,
                         const InferState& state,
                         grpc::CallbackServerContext* context)
    : parts_(parts),
      state_(state),
      context_(*context),
      open_(parts.streams.Open(PeerOfUri(context->peer()),
                               [context] { context->TryCancel(); })),
      caller_(caller) {
  ReadNext();
}

void InferStream::ReadNext() {
  open_->set_waits_for_client(true);
  StartRead(&in_);
}

void InferStream::OnReadDone(bool ok) {
  if (!ok) {
    return End(context_.IsCancelled() ? absl::CancelledError("cancelled")
                                      : absl::OkStatus());
  }
  open_->CountMessage(SizeOf(in_));
  // The first one was admitted with the stream.
  if (!std::exchange(is_first_, false)) {
    absl::StatusOr<CallerId> caller =
        Admit(context_, Role::kCompute, parts_.authenticator);
    if (!caller.ok()) return End(caller.status());
    caller_ = *caller;
  }
  if (!parts_.calls.Enter()) return End(DrainingError());
  open_->set_waits_for_client(false);
  (new Item(this, in_))->Start();
}

void InferStream::Write(const grpc::ByteBuffer& response) {
  const int64_t size_bytes = SizeOf(response);
  if (parts_.metrics != nullptr) parts_.metrics->CountSent(size_bytes);
  open_->CountSent(size_bytes);
  open_->set_waits_for_client(true);
  out_ = response;
  StartWrite(&out_);
}

void InferStream::OnWriteDone(bool ok) {
  out_.Clear();
  // The request is answered.
  parts_.calls.Leave();
  if (!ok) return End(absl::CancelledError("cancelled"));
  ReadNext();
}

void InferStream::End(const absl::Status& status) {
  code_ = status.code();
  Finish(Conclude(status, &context_));
}

void InferStream::OnDone() {
  open_.reset();
  if (parts_.metrics != nullptr) {
    parts_.metrics->CountCall(Method::kModelStreamInfer, code_,
                              absl::Now() - received_);
  }
  delete this;
}

}  // namespace actserve::kserve
