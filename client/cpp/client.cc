#include "client/cpp/client.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/balance/registrations.h"
#include "client/cpp/balance/residual_places.h"
#include "client/cpp/connect/address.h"
#include "client/cpp/connect/channel_security.h"
#include "client/cpp/in_process.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/replicas.h"
#include "client/cpp/retry.h"
#include "client/cpp/server_calls.h"
#include "client/cpp/tensor_calls.h"
#include "grpc/health/v1/health.pb.h"
#include "kernels/base/status_macros.h"
#include "proto/default_address.h"
#include "proto/duration.h"

namespace actserve {
namespace {

// The most that a server takes (ServerLimits in the contract).
constexpr int kListPageSize = 1000;
constexpr size_t kMaxHandlesInCall = 1024;

// Where a reply's payloads go.
using Outputs = absl::Span<const absl::Span<std::byte>>;

}  // namespace

class Client::Impl {
 public:
  Impl(std::string address, const Options& options, ChannelSecurity security)
      : address_(std::move(address)),
        options_(options),
        server_(std::in_place, address_, options, std::move(security)) {}
  Impl(std::unique_ptr<InProcess> in_process, const Options& options)
      : address_("local"),
        options_(options),
        in_process_(std::move(in_process)) {}

  const std::string& address() const { return address_; }

  Bounds BoundsOf(const CallOptions& options) const {
    // gRPC counts nanoseconds since 1970 in 64 bits: about 230 years from now.
    constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 30);
    const absl::Duration timeout = options.timeout > absl::ZeroDuration()
                                       ? options.timeout
                                       : options_.timeout;
    Bounds bounds = {absl::Now() + std::min(timeout, kLongest),
                     options.cancellation, options_.max_attempts};
    bounds.device_stream = options.device_stream;
    if (!options.traceparent.empty()) {
      bounds.headers.emplace_back("traceparent", options.traceparent);
      if (!options.tracestate.empty()) {
        bounds.headers.emplace_back("tracestate", options.tracestate);
      }
    }
    return bounds;
  }

  Bounds DefaultBounds() const { return BoundsOf({}); }

  // One call of the service; the bytes of its reply. `place` as in
  // Replicas::Call().
  absl::StatusOr<std::vector<grpc::Slice>> Send(
      absl::string_view method, absl::Span<const ByteSpan> parts,
      Outputs outputs, const Bounds& bounds, ReplicaPtr& place) {
    if (bounds.device_stream && (method == "Forward" || method == "Backward") &&
        !IsOnDevice(parts, outputs)) {
      return absl::InvalidArgumentError(
          "a CUDA stream is named, but no tensor of the call is in memory of a "
          "GPU that is shared");
    }
    if (in_process_ != nullptr) {
      return in_process_->Call(method, parts, outputs, bounds);
    }
    return server_->Send(method, parts, outputs, bounds, place);
  }

  // As InProcess::CallInto().
  std::optional<absl::Status> SendInto(absl::string_view method,
                                       absl::Span<const ByteSpan> parts,
                                       Outputs outputs, const Bounds& bounds) {
    if (in_process_ == nullptr) return std::nullopt;
    return in_process_->CallInto(method, parts, outputs, bounds);
  }

  // A call whose request and reply are small.
  template <typename Response>
  absl::StatusOr<Response> Ask(absl::string_view method,
                               const google::protobuf::MessageLite& request,
                               const Bounds& bounds, ReplicaPtr& place) {
    ACTSERVE_ASSIGN_OR_RETURN(
        auto slices,
        Send(method, Envelope(request, {}).parts(), {}, bounds, place));
    ACTSERVE_ASSIGN_OR_RETURN(Answer<Response> answer,
                              Open<Response>(std::move(slices)));
    return std::move(answer.metadata);
  }

  // A call about the activation that `request` names. While the server does
  // not know it and this client registered it, registers it again: a server may
  // restart more than once within a call. `max_attempts` bounds that too. The
  // replica that answered last is asked first for whatever follows.
  template <typename Response, typename Request>
  absl::StatusOr<Answer<Response>> Evaluate(absl::string_view method,
                                            Request request,
                                            absl::Span<const ByteSpan> payloads,
                                            Outputs outputs,
                                            const Bounds& bounds,
                                            ReplicaPtr& place) {
    const std::string asked = request.activation();
    request.set_activation(registrations_.IdOf(asked));
    for (int num_registered = 0;; ++num_registered) {
      auto reply = Send(method, Envelope(request, payloads).parts(), outputs,
                        bounds, place);
      if (reply.ok()) return Open<Response>(*std::move(reply));
      if (num_registered >= bounds.max_attempts ||
          ErrorReason(reply.status()) != kActivationUnknown) {
        return reply.status();
      }
      const auto registration = registrations_.Find(asked);
      if (!registration) return reply.status();
      ACTSERVE_ASSIGN_OR_RETURN(
          const auto registered,
          RegisterActivation(*registration, bounds, place));
      registrations_.Adopt(asked, registered.activation().id());
      request.set_activation(registered.activation().id());
    }
  }

  absl::StatusOr<v1::RegisterActivationResponse> RegisterActivation(
      const v1::RegisterActivationRequest& request, const Bounds& bounds,
      ReplicaPtr& place) {
    auto response = Ask<v1::RegisterActivationResponse>("RegisterActivation",
                                                        request, bounds, place);
    if (!response.ok()) return response;
    registrations_.Put(response->activation().id(), request);
    return response;
  }

  // The whole list, from one replica. Sets `lost` where that replica began the
  // list and cannot continue it: a page token is a server's own.
  absl::StatusOr<std::vector<v1::Activation>> List(const ListOptions& options,
                                                   const Bounds& bounds,
                                                   ReplicaPtr& place,
                                                   bool& lost) {
    v1::ListActivationsRequest request;
    request.set_page_size(kListPageSize);
    request.set_with_texts(options.with_texts);
    std::vector<v1::Activation> activations;
    do {
      const ReplicaPtr asked = place;
      auto page = Ask<v1::ListActivationsResponse>("ListActivations", request,
                                                   bounds, place);
      if (!request.page_token().empty()) {
        lost = place != asked || absl::IsInvalidArgument(page.status());
      }
      if (!page.ok()) return page.status();
      if (lost) return absl::UnavailableError("no server lists all");
      for (v1::Activation& activation : *page->mutable_activations()) {
        activations.push_back(std::move(activation));
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return activations;
  }

  // Returns how many of `handles` the replica still held.
  absl::StatusOr<int> Release(absl::Span<const std::string> handles,
                              const Bounds& bounds, ReplicaPtr place) {
    int num_released = 0;
    for (; !handles.empty();
         handles.remove_prefix(std::min(handles.size(), kMaxHandlesInCall))) {
      v1::ReleaseResidualsRequest request;
      for (const std::string& handle : handles.subspan(0, kMaxHandlesInCall)) {
        request.add_handles(handle);
      }
      ACTSERVE_ASSIGN_OR_RETURN(
          const auto response, Ask<v1::ReleaseResidualsResponse>(
                                   "ReleaseResiduals", request, bounds, place));
      num_released += response.num_released();
      for (const std::string& handle : request.handles()) {
        EraseResidual(handle);
      }
    }
    return num_released;
  }

  std::shared_ptr<std::byte[]> Allocate(size_t size_bytes) {
    if (SharedCalls* const shared = this->shared()) {
      if (auto block = shared->pool()->Allocate(size_bytes); block.ok()) {
        const auto owner =
            std::make_shared<SharedPool::Block>(*std::move(block));
        return {owner, owner->data()};
      }
    }
    constexpr std::align_val_t kAlignment{SharedPool::kAlignment};
    // Larger ones overflow in the standard library.
    if (size_bytes > PTRDIFF_MAX) return nullptr;
    auto* const data = new (kAlignment, std::nothrow)
        std::byte[std::max<size_t>(size_bytes, 1)];
    if (data == nullptr) return nullptr;
    return {data, [](std::byte* data) { operator delete[](data, kAlignment); }};
  }

  absl::Status ShareDevice(const void* pointer) {
    absl::Status status =
        in_process_ != nullptr ? in_process_->ShareDevice(pointer)
        : shared() != nullptr
            ? shared()->ShareDevice(pointer)
            : absl::FailedPreconditionError(absl::StrCat(
                  "memory of a GPU is shared with one server on this host over "
                  "its unix socket, not with ",
                  address_));
    if (status.ok()) return status;
    return {status.code(),
            absl::StrCat(status.message(),
                         "; copy the tensors to memory of the host, at best "
                         "to that which the client allocates")};
  }
  // For what reads and writes tensors on the way.
  absl::Status CheckInHostMemory(absl::Span<const TensorView> tensors,
                                 Outputs outputs) {
    std::vector<ByteSpan> parts;
    for (const TensorView& tensor : tensors) parts.push_back(tensor.bytes);
    if (!IsOnDevice(parts, outputs)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "wire_dtype: tensors in memory of a GPU are not sent");
  }
  void ForgetDevice(const void* pointer) {
    if (in_process_ != nullptr) in_process_->ForgetDevice(pointer);
    if (shared() != nullptr) shared()->ForgetDevice(pointer);
  }

  // Null if this process answers.
  Replicas* replicas() { return server_ ? &server_->replicas() : nullptr; }

  // OK if the replica takes requests. Sets `answered` if it says anything.
  absl::Status HealthOf(const ReplicaPtr& replica, const Bounds& bounds,
                        bool& answered) {
    answered = false;
    const Envelope envelope(grpc::health::v1::HealthCheckRequest(), {});
    ACTSERVE_ASSIGN_OR_RETURN(
        RawStub::Reply reply,
        server_->replicas().CallOnce("/grpc.health.v1.Health/Check",
                                     envelope.parts(), bounds, replica));
    answered = true;
    ACTSERVE_ASSIGN_OR_RETURN(
        const auto answer,
        Open<grpc::health::v1::HealthCheckResponse>(std::move(reply.slices)));
    const auto status = answer.metadata.status();
    if (status == grpc::health::v1::HealthCheckResponse::SERVING) {
      return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat(
        "health is ",
        grpc::health::v1::HealthCheckResponse::ServingStatus_Name(status)));
  }

  bool may_be_several() {
    return replicas() != nullptr && replicas()->may_be_several();
  }
  // Remembers which of several replicas holds a residual.
  void PutResidual(const std::string& handle, ReplicaPtr place) {
    if (may_be_several()) {
      residual_places_.Put(handle, std::move(place));
    }
  }
  // Null: not known.
  ReplicaPtr FindResidual(const std::string& handle) {
    return may_be_several() ? residual_places_.Find(handle) : nullptr;
  }
  void EraseResidual(const std::string& handle) {
    if (may_be_several()) residual_places_.Erase(handle);
  }

 private:
  bool IsOnDevice(absl::Span<const ByteSpan> parts, Outputs outputs) {
    if (in_process_ != nullptr) return in_process_->IsOnDevice(parts, outputs);
    return shared() != nullptr && shared()->IsOnDevice(parts, outputs);
  }
  // Null if no memory is shared.
  SharedCalls* shared() { return server_ ? server_->shared() : nullptr; }

  const std::string address_;
  const Options options_;
  // One of the two.
  const std::unique_ptr<InProcess> in_process_;
  std::optional<ServerCalls> server_;
  ResidualPlaces residual_places_;
  Registrations registrations_;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

std::shared_ptr<std::byte[]> Client::Allocate(size_t size_bytes) {
  return impl_->Allocate(size_bytes);
}

absl::Status Client::ShareDevice(const void* pointer) {
  return impl_->ShareDevice(pointer);
}

void Client::ForgetDevice(const void* pointer) { impl_->ForgetDevice(pointer); }

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
  if (options.channels < 1 || options.channels > kMaxChannels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "channels ", options.channels, ", must be from 1 to ", kMaxChannels));
  }
  std::string target =
      address.empty() ? DefaultAddress() : std::string(address);
  if (target.empty()) {
    return absl::UnavailableError(
        absl::StrCat("no server listens at unix:", DefaultSocketPath(),
                     "; start actserved, or name a server by its address or in "
                     "$ACTSERVE_ADDRESS, or compute \"local\""));
  }
  ACTSERVE_RETURN_IF_ERROR(CheckAddress(target));
  ACTSERVE_ASSIGN_OR_RETURN(ChannelSecurity security,
                            LoadSecurity(options.security, target));
  return absl::WrapUnique(new Client(
      std::make_unique<Impl>(std::move(target), options, std::move(security))));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(
    std::string_view address) {
  return Connect(address, Options());
}

std::unique_ptr<Client> Client::Over(std::unique_ptr<InProcess> in_process,
                                     const Options& options) {
  return absl::WrapUnique(
      new Client(std::make_unique<Impl>(std::move(in_process), options)));
}

absl::Status Client::Forward(std::string_view activation,
                             absl::Span<const TensorView> inputs,
                             absl::Span<std::byte> output,
                             const CallOptions& options) {
  if (IsNarrow(options)) {
    ForwardCall call;
    call.activation = activation;
    call.inputs.assign(inputs.begin(), inputs.end());
    call.output = output;
    call.options = options;
    return ForwardWith(call).status();
  }
  const Bounds bounds = impl_->BoundsOf(options);
  v1::ForwardRequest request;
  Payloads payloads;
  ACTSERVE_RETURN_IF_ERROR(
      MakeForward(activation, inputs, output, options, request, payloads));
  ReplicaPtr place;
  // Only the payload of the reply is needed.
  ACTSERVE_ASSIGN_OR_RETURN(
      const Answer<Unread> answer,
      impl_->Evaluate<Unread>("Forward", std::move(request), payloads, {output},
                              bounds, place));
  return Deliver(answer.payloads, {output});
}

absl::StatusOr<ForwardResult> Client::ForwardWith(const ForwardCall& call) {
  if (IsNarrow(call.options)) {
    std::vector<absl::Span<std::byte>> outputs = {call.output, call.tangent};
    for (const auto& partial : call.partials) outputs.push_back(partial.output);
    ACTSERVE_RETURN_IF_ERROR(impl_->CheckInHostMemory(call.inputs, outputs));
    ACTSERVE_ASSIGN_OR_RETURN(const auto type, NarrowTypeOf(call.options));
    NarrowTensors tensors(type);
    ACTSERVE_ASSIGN_OR_RETURN(const ForwardCall narrow, Narrow(call, tensors));
    auto result = ForwardWith(narrow);
    if (result.ok()) tensors.Widen();
    return result;
  }
  const Bounds bounds = impl_->BoundsOf(call.options);
  v1::ForwardRequest request;
  Payloads payloads;
  absl::Status status = MakeForward(call.activation, call.inputs, call.output,
                                    call.options, request, payloads);
  std::vector<absl::Span<std::byte>> outputs = {call.output};
  for (const ForwardCall::Partial& partial : call.partials) {
    status.Update(CheckOutput(partial.output,
                              absl::StrCat("the partial ", partial.input),
                              call.options.split_axis && !call.inputs.empty()
                                  ? call.inputs[0].bytes.size()
                                  : call.output.size()));
    request.add_partials(partial.input);
    outputs.push_back(partial.output);
  }
  status.Update(CheckValues(call.tangents, "tangents"));
  if (!call.tangents.empty()) {
    status.Update(CheckOutput(call.tangent, "the tangent", call.output.size()));
    outputs.push_back(call.tangent);
  }
  if (!status.ok()) return status;
  SetValues(call.tangents, *request.mutable_tangents(), payloads);
  request.set_keep_residual(call.keep_residual);
  if (call.residual_lease != absl::ZeroDuration()) {
    *request.mutable_residual_lease() = ToProto(call.residual_lease);
  }

  ReplicaPtr place;
  ACTSERVE_ASSIGN_OR_RETURN(
      Answer<v1::ForwardResponse> answer,
      impl_->Evaluate<v1::ForwardResponse>("Forward", std::move(request),
                                           payloads, outputs, bounds, place));
  ACTSERVE_RETURN_IF_ERROR(Deliver(answer.payloads, outputs));

  ForwardResult result;
  v1::ForwardResponse& response = answer.metadata;
  if (response.has_residual()) {
    impl_->PutResidual(response.residual().handle(), place);
    result.residual = std::move(*response.mutable_residual());
  }
  result.activation_id = std::move(*response.mutable_activation_id());
  result.program_id = std::move(*response.mutable_program_id());
  result.device = std::move(*response.mutable_device());
  result.timings = std::move(*response.mutable_timings());
  return result;
}

absl::StatusOr<BackwardResult> Client::Backward(const BackwardCall& call) {
  if (IsNarrow(call.options)) {
    std::vector<TensorView> tensors_given = call.inputs;
    if (call.grad_output) tensors_given.push_back(*call.grad_output);
    std::vector<absl::Span<std::byte>> outputs;
    for (const auto& gradient : call.wrt) outputs.push_back(gradient.output);
    ACTSERVE_RETURN_IF_ERROR(impl_->CheckInHostMemory(tensors_given, outputs));
    ACTSERVE_ASSIGN_OR_RETURN(const auto type, NarrowTypeOf(call.options));
    NarrowTensors tensors(type);
    ACTSERVE_ASSIGN_OR_RETURN(const BackwardCall narrow, Narrow(call, tensors));
    auto result = Backward(narrow);
    if (result.ok()) tensors.Widen();
    return result;
  }
  const Bounds bounds = impl_->BoundsOf(call.options);
  ACTSERVE_RETURN_IF_ERROR(CheckBackward(call));
  constexpr absl::string_view kMethod = "Backward";
  v1::BackwardRequest request;
  request.set_activation(call.activation);
  Payloads payloads;
  if (call.grad_output) {
    SetTensor(*call.grad_output, *request.mutable_grad_output());
    payloads.push_back(call.grad_output->bytes);
  }
  if (call.order != 1) request.set_order(call.order);
  SetValues(call.cotangents, *request.mutable_cotangents(), payloads);
  // A number has no payload, so its gradient gives no memory.
  std::vector<absl::Span<std::byte>> outputs;
  for (const BackwardCall::Gradient& gradient : call.wrt) {
    request.add_wrt(gradient.name);
    if (gradient.output.data() != nullptr) outputs.push_back(gradient.output);
  }
  if (call.options.axis) request.set_axis(*call.options.axis);
  if (call.options.split_axis) {
    request.set_split_axis(*call.options.split_axis);
  }
  request.set_element_offset(call.options.element_offset);
  ReplicaPtr place;
  if (!call.residual.empty()) {
    request.set_residual(call.residual);
    place = impl_->FindResidual(call.residual);
    auto answer = impl_->Evaluate<v1::BackwardResponse>(
        kMethod, request, payloads, outputs, bounds, place);
    const bool is_gone =
        !answer.ok() && ErrorReason(answer.status()) == kResidualGone;
    if (answer.ok() || is_gone) impl_->EraseResidual(call.residual);
    if (answer.ok()) return TakeGradients(call, *answer);
    if (call.inputs.empty() || !is_gone) return answer.status();
    request.clear_residual();
  }
  Payloads inputs;
  for (const TensorView& input : call.inputs) {
    SetTensor(input, *request.add_inputs());
    inputs.push_back(input.bytes);
  }
  SetParameters(call.options, *request.mutable_parameters(), inputs);
  payloads.insert(payloads.begin(), inputs.begin(), inputs.end());
  ACTSERVE_ASSIGN_OR_RETURN(
      Answer<v1::BackwardResponse> answer,
      impl_->Evaluate<v1::BackwardResponse>(kMethod, std::move(request),
                                            payloads, outputs, bounds, place));
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
  ReplicaPtr place;
  return impl_->RegisterActivation(request, impl_->DefaultBounds(), place);
}

absl::StatusOr<v1::Activation> Client::GetActivation(
    std::string_view activation) {
  v1::GetActivationRequest request;
  request.set_activation(std::string(activation));
  request.set_with_gradients(true);
  ReplicaPtr place;
  ACTSERVE_ASSIGN_OR_RETURN(
      Answer<v1::Activation> answer,
      impl_->Evaluate<v1::Activation>("GetActivation", std::move(request), {},
                                      {}, impl_->DefaultBounds(), place));
  return std::move(answer.metadata);
}

absl::StatusOr<std::vector<v1::Activation>> Client::ListActivations(
    const ListOptions& options) {
  const Bounds bounds = impl_->DefaultBounds();
  ReplicaPtr place;
  for (int round = 1;; ++round) {
    bool lost = false;
    auto activations = impl_->List(options, bounds, place, lost);
    if (!lost || round >= bounds.max_attempts) return activations;
  }
}

absl::StatusOr<std::vector<v1::Activation>> Client::ListActivations() {
  return ListActivations(ListOptions());
}

absl::StatusOr<int> Client::ReleaseResiduals(
    absl::Span<const std::string> handles) {
  const Bounds bounds = impl_->DefaultBounds();
  absl::flat_hash_map<ReplicaPtr, std::vector<std::string>> handles_by_place;
  for (const std::string& handle : handles) {
    handles_by_place[impl_->FindResidual(handle)].push_back(handle);
  }
  int num_released = 0;
  for (const auto& [place, some] : handles_by_place) {
    ACTSERVE_ASSIGN_OR_RETURN(const int num,
                              impl_->Release(some, bounds, place));
    num_released += num;
  }
  return num_released;
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  ReplicaPtr place;
  return impl_->Ask<v1::ServerInfo>("GetServerInfo", v1::GetServerInfoRequest(),
                                    impl_->DefaultBounds(), place);
}

absl::StatusOr<EncodedReply> Client::CallEncoded(
    std::string_view method, absl::Span<const ByteSpan> parts, Outputs outputs,
    const CallOptions& options, uint64_t* place) {
  ReplicaPtr replica;
  if (place != nullptr && *place != 0 && impl_->replicas() != nullptr) {
    replica = impl_->replicas()->Find(*place);
  }
  auto sent = impl_->Send({method.data(), method.size()}, parts, outputs,
                          impl_->BoundsOf(options), replica);
  if (place != nullptr) *place = replica == nullptr ? 0 : replica->id();
  ACTSERVE_ASSIGN_OR_RETURN(std::vector<grpc::Slice> slices, std::move(sent));
  return TakeEncoded(std::move(slices), outputs);
}

absl::Status Client::CallInto(std::string_view method,
                              absl::Span<const ByteSpan> parts, Outputs outputs,
                              const CallOptions& options, uint64_t* place) {
  if (auto status = impl_->SendInto({method.data(), method.size()}, parts,
                                    outputs, impl_->BoundsOf(options))) {
    if (place != nullptr) *place = 0;
    return *std::move(status);
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      const EncodedReply reply,
      CallEncoded(method, parts, outputs, options, place));
  if (reply.payloads.size() != outputs.size()) {
    return absl::InternalError(
        absl::StrCat("malformed reply: ", reply.payloads.size(),
                     " payloads, expected ", outputs.size()));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (reply.payloads[i].size() != outputs[i].size()) {
      return absl::InternalError(absl::StrCat(
          "malformed reply: payload ", i, " has ", reply.payloads[i].size(),
          " bytes, there is room for ", outputs[i].size()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<grpc::Slice>> Client::CallUnread(
    std::string_view method, absl::Span<const ByteSpan> parts, Outputs outputs,
    const CallOptions& options) {
  ReplicaPtr place;
  return impl_->Send({method.data(), method.size()}, parts, outputs,
                     impl_->BoundsOf(options), place);
}

absl::Status Client::Health() {
  if (impl_->replicas() == nullptr) return absl::OkStatus();
  ACTSERVE_ASSIGN_OR_RETURN(const auto replicas,
                            impl_->replicas()->All(impl_->DefaultBounds()));
  absl::Status status;
  for (const ReplicaPtr& replica : replicas) {
    bool answered;
    status = impl_->HealthOf(replica, impl_->DefaultBounds(), answered);
    if (status.ok()) break;
  }
  return status;
}

absl::StatusOr<std::vector<ReplicaHealth>> Client::HealthOfReplicas(
    absl::Duration timeout) {
  if (impl_->replicas() == nullptr) {
    return std::vector<ReplicaHealth>{{address(), absl::OkStatus()}};
  }
  CallOptions options;
  options.timeout = timeout;
  const Bounds all = impl_->BoundsOf(options);
  ACTSERVE_ASSIGN_OR_RETURN(const auto replicas, impl_->replicas()->All(all));
  std::vector<ReplicaHealth> healths;
  for (const ReplicaPtr& replica : replicas) {
    ReplicaHealth& health = healths.emplace_back();
    health.address = replica->address();
    health.status = impl_->HealthOf(
        replica, timeout == absl::ZeroDuration() ? impl_->DefaultBounds() : all,
        health.answered);
  }
  for (std::string& name : impl_->replicas()->NamesNotFound()) {
    healths.push_back({std::move(name), impl_->replicas()->NameError(), false});
  }
  return healths;
}

}  // namespace actserve
