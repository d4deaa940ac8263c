#include "client/cpp/client.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/memory/memory.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cpp/address.h"
#include "client/cpp/raw_stub.h"
#include "client/cpp/retry.h"
#include "client/cpp/split_response.h"
#include "grpc/health/v1/health.pb.h"
#include "kernels/base/status_macros.h"
#include "proto/default_address.h"
#include "proto/duration.h"

namespace actserve {
namespace {

constexpr char kService[] = "/actserve.v1.ActivationService/";
// gRPC prefixes a message with its length in 32 bits, and protobuf's own
// classes stop at 2 GiB.
// The most that a server takes (ServerLimits in the contract).
constexpr int kListPageSize = 1000;
constexpr size_t kMaxHandlesInCall = 1024;
constexpr size_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();

int64_t ItemSizeBytes(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT16:
    case v1::DTYPE_BFLOAT16:
      return 2;
    case v1::DTYPE_FLOAT32:
      return 4;
    case v1::DTYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

absl::Status CheckTensor(const TensorView& tensor, absl::string_view what) {
  const int64_t item_size_bytes = ItemSizeBytes(tensor.dtype);
  if (item_size_bytes == 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has no dtype"));
  }
  int64_t size_bytes = item_size_bytes;
  bool overflow = false;
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": shape [", absl::StrJoin(tensor.shape, ", "),
                       "]: a dimension is negative"));
    }
    overflow |= __builtin_mul_overflow(size_bytes, dimension, &size_bytes);
  }
  if (overflow || static_cast<uint64_t>(size_bytes) != tensor.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", tensor.bytes.size(), " bytes do not match shape [",
        absl::StrJoin(tensor.shape, ", "), "] of ", item_size_bytes,
        "-byte elements"));
  }
  return absl::OkStatus();
}

absl::Status CheckInputs(absl::Span<const TensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    absl::Status status = CheckTensor(inputs[i], "");
    if (!status.ok()) return CheckTensor(inputs[i], absl::StrCat("input ", i));
  }
  return absl::OkStatus();
}

absl::Status CheckOutput(absl::Span<std::byte> output, absl::string_view what,
                         size_t want_bytes) {
  if (output.size() == want_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("room for ", what, ": ", output.size(),
                   " bytes, but it has ", want_bytes));
}

void SetTensor(const TensorView& view, v1::Tensor& tensor) {
  tensor.set_dtype(view.dtype);
  tensor.mutable_shape()->Add(view.shape.begin(), view.shape.end());
}

template <typename Request>
void SetParameters(const std::map<std::string, double>& parameters,
                   Request& request) {
  for (const auto& [name, value] : parameters) {
    auto* parameter = request.add_parameters();
    parameter->set_name(name);
    parameter->set_scalar(value);
  }
}

// A request as the parts that are sent: metadata, then each payload behind its
// tag and length. Views of `payloads` and of its own strings.
class Envelope {
 public:
  Envelope(const google::protobuf::MessageLite& metadata,
           absl::Span<const ByteSpan> payloads) {
    heads_.reserve(payloads.size() + 1);
    heads_.push_back(metadata.SerializeAsString());
    for (const ByteSpan payload : payloads) {
      AppendPayloadHeader(payload.size(), heads_.back());
      Add(heads_.back());
      Add(payload);
      heads_.emplace_back();
    }
    if (payloads.empty()) Add(heads_.back());
  }

  absl::Span<const ByteSpan> parts() const { return parts_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  void Add(std::string_view bytes) {
    Add(ByteSpan(reinterpret_cast<const std::byte*>(bytes.data()),
                 bytes.size()));
  }
  void Add(ByteSpan bytes) {
    size_bytes_ += bytes.size();
    parts_.push_back(bytes);
  }

  absl::InlinedVector<std::string, 3> heads_;
  absl::InlinedVector<ByteSpan, 6> parts_;
  size_t size_bytes_ = 0;
};

// A reply of the contract, read up to its payloads.
template <typename Response>
struct Answer {
  Response metadata;
  absl::InlinedVector<SplitResponse::Payload, 1> payloads;
  // The memory that `payloads` points into.
  RawStub::Reply reply;
};

// Metadata that nobody asks for.
struct Unread {
  bool ParseFromString(const std::string&) { return true; }
};

template <typename Response>
absl::StatusOr<Answer<Response>> Open(RawStub::Reply reply) {
  Answer<Response> answer;
  answer.reply = std::move(reply);
  ACTSERVE_ASSIGN_OR_RETURN(SplitResponse split, Split(answer.reply.Spans()));
  if (!answer.metadata.ParseFromString(split.metadata)) {
    return absl::InternalError("malformed reply: metadata does not parse");
  }
  answer.payloads = std::move(split.payloads);
  return answer;
}

// Copies each payload to its place; writes nothing unless all of them fit.
absl::Status Deliver(absl::Span<const SplitResponse::Payload> payloads,
                     absl::Span<const absl::Span<std::byte>> outputs) {
  if (payloads.size() != outputs.size()) {
    return absl::InternalError(
        absl::StrCat("malformed reply: ", payloads.size(),
                     " payloads, expected ", outputs.size()));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (payloads[i].size_bytes != outputs[i].size()) {
      return absl::InternalError(absl::StrCat(
          "malformed reply: payload ", i, " has ", payloads[i].size_bytes,
          " bytes, there is room for ", outputs[i].size()));
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    CopyPayload(payloads[i], outputs[i]);
  }
  return absl::OkStatus();
}

const std::string& ForwardMethod() {
  static const auto* const method =
      new std::string(absl::StrCat(kService, "Forward"));
  return *method;
}

using Payloads = absl::InlinedVector<ByteSpan, 4>;

// Checks what every Forward has, and puts it into `request` and `payloads`.
absl::Status MakeForward(std::string_view activation,
                         absl::Span<const TensorView> inputs,
                         absl::Span<std::byte> output,
                         const CallOptions& options,
                         v1::ForwardRequest& request, Payloads& payloads) {
  if (inputs.empty()) return absl::InvalidArgumentError("no inputs");
  absl::Status status = CheckInputs(inputs);
  status.Update(CheckOutput(output, "the output", inputs[0].bytes.size()));
  if (!status.ok()) return status;
  request.set_activation(activation.data(), activation.size());
  for (const TensorView& input : inputs) {
    SetTensor(input, *request.add_inputs());
    payloads.push_back(input.bytes);
  }
  SetParameters(options.parameters, request);
  return absl::OkStatus();
}

// Checks that `call` fits together, as far as one can tell without knowing
// which names are parameters.
absl::Status CheckBackward(const BackwardCall& call) {
  if (call.inputs.empty() && call.residual.empty()) {
    return absl::InvalidArgumentError("neither inputs nor a residual");
  }
  if (call.wrt.empty()) {
    return absl::InvalidArgumentError("no gradient is asked for");
  }
  absl::Status status = CheckInputs(call.inputs);
  const TensorView* like = call.inputs.empty() ? nullptr : &call.inputs[0];
  if (call.grad_output) {
    status.Update(CheckTensor(*call.grad_output, "grad_output"));
    like = &*call.grad_output;
  }
  if (like == nullptr) return status;
  for (const BackwardCall::Gradient& gradient : call.wrt) {
    if (gradient.output.empty()) continue;
    status.Update(CheckOutput(gradient.output,
                              absl::StrCat("the gradient ", gradient.name),
                              like->bytes.size()));
  }
  return status;
}

absl::StatusOr<BackwardResult> TakeGradients(
    const BackwardCall& call, Answer<v1::BackwardResponse>& answer) {
  v1::BackwardResponse& response = answer.metadata;
  if (static_cast<size_t>(response.gradients_size()) != call.wrt.size()) {
    return absl::InternalError(
        absl::StrCat("malformed reply: ", response.gradients_size(),
                     " gradients, expected ", call.wrt.size()));
  }
  BackwardResult result;
  std::vector<absl::Span<std::byte>> outputs;
  for (size_t i = 0; i < call.wrt.size(); ++i) {
    const v1::Gradient& gradient = response.gradients(i);
    if (gradient.name() != call.wrt[i].name) {
      return absl::InternalError(absl::StrCat("malformed reply: gradient ", i,
                                              " is ", gradient.name(),
                                              ", expected ", call.wrt[i].name));
    }
    if (gradient.has_tensor()) {
      outputs.push_back(call.wrt[i].output);
    } else {
      result.parameter_gradients[gradient.name()] = gradient.scalar();
    }
  }
  ACTSERVE_RETURN_IF_ERROR(Deliver(answer.payloads, outputs));
  result.activation_id = std::move(*response.mutable_activation_id());
  result.program_id = std::move(*response.mutable_program_id());
  result.device = std::move(*response.mutable_device());
  result.timings = std::move(*response.mutable_timings());
  return result;
}

// When a call must end.
struct Bounds {
  absl::Time deadline;
  Cancellation* cancellation = nullptr;
  // Limit on the attempts of each RPC that the call needs, and on its
  // registrations.
  int max_attempts;
};

}  // namespace

class Client::Impl {
 public:
  Impl(std::string address, const Options& options)
      : address_(std::move(address)),
        options_(options),
        stub_(MakeChannel(address_)) {}

  const std::string& address() const { return address_; }

  Bounds BoundsOf(const CallOptions& options) const {
    // gRPC counts nanoseconds since 1970 in 64 bits: about 230 years from now.
    constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 30);
    const absl::Duration timeout = options.timeout > absl::ZeroDuration()
                                       ? options.timeout
                                       : options_.timeout;
    return {absl::Now() + std::min(timeout, kLongest), options.cancellation,
            options_.max_attempts};
  }

  Bounds DefaultBounds() const { return BoundsOf({}); }

  // One call, repeated while the server cannot take it.
  absl::StatusOr<RawStub::Reply> Call(const std::string& method,
                                      absl::Span<const ByteSpan> parts,
                                      const Bounds& bounds) {
    for (int attempt = 1;; ++attempt) {
      RawStub::Reply reply =
          stub_.Call(method, parts, bounds.deadline, bounds.cancellation);
      if (reply.status.ok()) return reply;
      const std::optional<absl::Duration> pause = PauseBeforeRetry(
          {reply.status.error_code(), reply.status.error_message(),
           reply.answered, reply.retry_pushback},
          attempt, DrawChance());
      const bool cancelled_by_caller =
          reply.status.error_code() == grpc::StatusCode::CANCELLED &&
          bounds.cancellation != nullptr && bounds.cancellation->cancelled();
      if (cancelled_by_caller || !pause || attempt >= bounds.max_attempts ||
          absl::Now() + *pause >= bounds.deadline) {
        return FromGrpcStatus(reply.status);
      }
      if (stub_.Pause(*pause, bounds.cancellation)) {
        return absl::CancelledError("cancelled before another try");
      }
    }
  }

  // A call whose request and reply are small.
  template <typename Response>
  absl::StatusOr<Response> Ask(const std::string& method,
                               const google::protobuf::MessageLite& request,
                               const Bounds& bounds) {
    const Envelope envelope(request, {});
    ACTSERVE_ASSIGN_OR_RETURN(RawStub::Reply reply,
                              Call(method, envelope.parts(), bounds));
    ACTSERVE_ASSIGN_OR_RETURN(Answer<Response> answer,
                              Open<Response>(std::move(reply)));
    return std::move(answer.metadata);
  }

  // A call about the activation that `request` names. While the server does
  // not know it and this client registered it, registers it again: a server may
  // restart more than once within a call. `max_attempts` bounds that too.
  template <typename Response, typename Request>
  absl::StatusOr<Answer<Response>> Evaluate(const std::string& method,
                                            Request request,
                                            absl::Span<const ByteSpan> payloads,
                                            const Bounds& bounds) {
    const std::string asked = request.activation();
    Translate(*request.mutable_activation());
    for (int num_registered = 0;; ++num_registered) {
      const Envelope envelope(request, payloads);
      if (envelope.size_bytes() > kMaxMessageBytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat("request of ", envelope.size_bytes(), " bytes, limit ",
                         kMaxMessageBytes, "; send the batch in parts"));
      }
      auto reply = Call(method, envelope.parts(), bounds);
      if (reply.ok()) return Open<Response>(*std::move(reply));
      if (num_registered >= bounds.max_attempts ||
          ErrorReason(reply.status()) != kActivationUnknown) {
        return reply.status();
      }
      const auto registration = Recall(asked);
      if (!registration) return reply.status();
      ACTSERVE_ASSIGN_OR_RETURN(const auto registered,
                                RegisterActivation(*registration, bounds));
      Adopt(asked, registered.activation().id());
      request.set_activation(registered.activation().id());
    }
  }

  absl::StatusOr<v1::RegisterActivationResponse> RegisterActivation(
      const v1::RegisterActivationRequest& request, const Bounds& bounds) {
    auto response = Ask<v1::RegisterActivationResponse>(
        absl::StrCat(kService, "RegisterActivation"), request, bounds);
    if (!response.ok()) return response;
    absl::MutexLock lock(&mutex_);
    registered_[response->activation().id()] = request;
    return response;
  }

 private:
  double DrawChance() {
    absl::MutexLock lock(&mutex_);
    return absl::Uniform(random_, -1.0, 1.0);
  }

  // Replaces an id that this client knows by the one that a server gave for
  // it since (after an upgrade of the server).
  void Translate(std::string& activation) {
    absl::MutexLock lock(&mutex_);
    if (adopted_.empty()) return;
    const auto found = adopted_.find(activation);
    if (found != adopted_.end()) activation = found->second;
  }

  void Adopt(const std::string& asked, const std::string& id) {
    absl::MutexLock lock(&mutex_);
    if (asked != id) adopted_[asked] = id;
  }

  std::optional<v1::RegisterActivationRequest> Recall(const std::string& id) {
    absl::MutexLock lock(&mutex_);
    const auto found = registered_.find(id);
    if (found == registered_.end()) return std::nullopt;
    return found->second;
  }

  const std::string address_;
  const Options options_;
  RawStub stub_;
  absl::Mutex mutex_;
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, v1::RegisterActivationRequest> registered_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::string> adopted_
      ABSL_GUARDED_BY(mutex_);
};

TensorView View(absl::Span<const float> elements, std::vector<int64_t> shape) {
  return {v1::DTYPE_FLOAT32,
          std::move(shape),
          {reinterpret_cast<const std::byte*>(elements.data()),
           elements.size() * sizeof(float)}};
}

TensorView View(absl::Span<const double> elements, std::vector<int64_t> shape) {
  return {v1::DTYPE_FLOAT64,
          std::move(shape),
          {reinterpret_cast<const std::byte*>(elements.data()),
           elements.size() * sizeof(double)}};
}

TensorView View(absl::Span<const float> elements) {
  return View(elements, {static_cast<int64_t>(elements.size())});
}

TensorView View(absl::Span<const double> elements) {
  return View(elements, {static_cast<int64_t>(elements.size())});
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

const std::string& Client::address() const { return impl_->address(); }

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(
    std::string_view address, const Options& options) {
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "timeout ", absl::FormatDuration(options.timeout), " is not positive"));
  }
  if (options.max_attempts < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_attempts ", options.max_attempts, " is less than 1"));
  }
  std::string target =
      address.empty() ? DefaultAddress() : std::string(address);
  ACTSERVE_RETURN_IF_ERROR(CheckAddress(target));
  return absl::WrapUnique(
      new Client(std::make_unique<Impl>(std::move(target), options)));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(
    std::string_view address) {
  return Connect(address, Options());
}

absl::Status Client::Forward(std::string_view activation,
                             absl::Span<const TensorView> inputs,
                             absl::Span<std::byte> output,
                             const CallOptions& options) {
  const Bounds bounds = impl_->BoundsOf(options);
  v1::ForwardRequest request;
  Payloads payloads;
  ACTSERVE_RETURN_IF_ERROR(
      MakeForward(activation, inputs, output, options, request, payloads));
  // Only the payload of the reply is needed.
  ACTSERVE_ASSIGN_OR_RETURN(
      const Answer<Unread> answer,
      impl_->Evaluate<Unread>(ForwardMethod(), std::move(request), payloads,
                              bounds));
  return Deliver(answer.payloads, {output});
}

absl::StatusOr<ForwardResult> Client::ForwardWith(const ForwardCall& call) {
  const Bounds bounds = impl_->BoundsOf(call.options);
  v1::ForwardRequest request;
  Payloads payloads;
  absl::Status status = MakeForward(call.activation, call.inputs, call.output,
                                    call.options, request, payloads);
  std::vector<absl::Span<std::byte>> outputs = {call.output};
  for (const ForwardCall::Partial& partial : call.partials) {
    status.Update(CheckOutput(partial.output,
                              absl::StrCat("the partial ", partial.input),
                              call.output.size()));
    request.add_partials(partial.input);
    outputs.push_back(partial.output);
  }
  if (!status.ok()) return status;
  request.set_keep_residual(call.keep_residual);
  if (call.residual_lease != absl::ZeroDuration()) {
    *request.mutable_residual_lease() = ToProto(call.residual_lease);
  }

  ACTSERVE_ASSIGN_OR_RETURN(
      Answer<v1::ForwardResponse> answer,
      impl_->Evaluate<v1::ForwardResponse>(ForwardMethod(), std::move(request),
                                           payloads, bounds));
  ACTSERVE_RETURN_IF_ERROR(Deliver(answer.payloads, outputs));

  ForwardResult result;
  v1::ForwardResponse& response = answer.metadata;
  if (response.has_residual()) {
    result.residual = std::move(*response.mutable_residual());
  }
  result.activation_id = std::move(*response.mutable_activation_id());
  result.program_id = std::move(*response.mutable_program_id());
  result.device = std::move(*response.mutable_device());
  result.timings = std::move(*response.mutable_timings());
  return result;
}

absl::StatusOr<BackwardResult> Client::Backward(const BackwardCall& call) {
  const Bounds bounds = impl_->BoundsOf(call.options);
  ACTSERVE_RETURN_IF_ERROR(CheckBackward(call));
  const std::string method = absl::StrCat(kService, "Backward");
  v1::BackwardRequest request;
  request.set_activation(call.activation);
  std::vector<ByteSpan> payloads;
  if (call.grad_output) {
    SetTensor(*call.grad_output, *request.mutable_grad_output());
    payloads.push_back(call.grad_output->bytes);
  }
  for (const BackwardCall::Gradient& gradient : call.wrt) {
    request.add_wrt(gradient.name);
  }
  if (!call.residual.empty()) {
    request.set_residual(call.residual);
    auto answer = impl_->Evaluate<v1::BackwardResponse>(method, request,
                                                        payloads, bounds);
    if (answer.ok()) return TakeGradients(call, *answer);
    if (call.inputs.empty() || ErrorReason(answer.status()) != kResidualGone) {
      return answer.status();
    }
    request.clear_residual();
  }
  SetParameters(call.options.parameters, request);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    SetTensor(call.inputs[i], *request.add_inputs());
    payloads.insert(payloads.begin() + i, call.inputs[i].bytes);
  }
  ACTSERVE_ASSIGN_OR_RETURN(Answer<v1::BackwardResponse> answer,
                            impl_->Evaluate<v1::BackwardResponse>(
                                method, std::move(request), payloads, bounds));
  return TakeGradients(call, answer);
}

absl::StatusOr<v1::RegisterActivationResponse> Client::RegisterActivation(
    std::string_view text) {
  v1::RegisterActivationRequest request;
  request.set_text(std::string(text));
  return RegisterActivation(request);
}

absl::StatusOr<v1::RegisterActivationResponse> Client::RegisterActivation(
    const v1::RegisterActivationRequest& request) {
  return impl_->RegisterActivation(request, impl_->DefaultBounds());
}

absl::StatusOr<v1::Activation> Client::GetActivation(
    std::string_view activation) {
  v1::GetActivationRequest request;
  request.set_activation(std::string(activation));
  request.set_with_gradients(true);
  ACTSERVE_ASSIGN_OR_RETURN(
      Answer<v1::Activation> answer,
      impl_->Evaluate<v1::Activation>(absl::StrCat(kService, "GetActivation"),
                                      std::move(request), {},
                                      impl_->DefaultBounds()));
  return std::move(answer.metadata);
}

absl::StatusOr<std::vector<v1::Activation>> Client::ListActivations(
    const ListOptions& options) {
  const Bounds bounds = impl_->DefaultBounds();
  v1::ListActivationsRequest request;
  request.set_page_size(kListPageSize);
  request.set_with_texts(options.with_texts);
  std::vector<v1::Activation> activations;
  do {
    ACTSERVE_ASSIGN_OR_RETURN(
        auto page,
        impl_->Ask<v1::ListActivationsResponse>(
            absl::StrCat(kService, "ListActivations"), request, bounds));
    for (v1::Activation& activation : *page.mutable_activations()) {
      activations.push_back(std::move(activation));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return activations;
}

absl::StatusOr<std::vector<v1::Activation>> Client::ListActivations() {
  return ListActivations(ListOptions());
}

absl::StatusOr<int> Client::ReleaseResiduals(
    absl::Span<const std::string> handles) {
  const Bounds bounds = impl_->DefaultBounds();
  int num_released = 0;
  do {
    const auto some = handles.subspan(0, kMaxHandlesInCall);
    v1::ReleaseResidualsRequest request;
    for (const std::string& handle : some) request.add_handles(handle);
    ACTSERVE_ASSIGN_OR_RETURN(
        const auto response,
        impl_->Ask<v1::ReleaseResidualsResponse>(
            absl::StrCat(kService, "ReleaseResiduals"), request, bounds));
    num_released += response.num_released();
    handles.remove_prefix(some.size());
  } while (!handles.empty());
  return num_released;
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  return impl_->Ask<v1::ServerInfo>(absl::StrCat(kService, "GetServerInfo"),
                                    v1::GetServerInfoRequest(),
                                    impl_->DefaultBounds());
}

absl::Status Client::Health() {
  Bounds bounds = impl_->DefaultBounds();
  bounds.max_attempts = 1;
  auto response = impl_->Ask<grpc::health::v1::HealthCheckResponse>(
      "/grpc.health.v1.Health/Check", grpc::health::v1::HealthCheckRequest(),
      bounds);
  if (!response.ok()) return response.status();
  if (response->status() == grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(
      "health is ", grpc::health::v1::HealthCheckResponse::ServingStatus_Name(
                        response->status())));
}

}  // namespace actserve
