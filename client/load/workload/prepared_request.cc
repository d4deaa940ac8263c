#include "client/load/workload/prepared_request.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actserve/v1/service.pb.h"
#include "client/cli/read_file.h"
#include "client/cpp/error_details.h"
#include "client/cpp/message/envelope.h"
#include "client/cpp/message/item_size.h"
#include "kernels/base/status_macros.h"

namespace actserve {
namespace {

constexpr absl::Duration kEchoTimeout = absl::Seconds(60);

// Small tensors get several variants, so that a server cannot answer from one.
int NumVariants(size_t size_bytes) {
  return size_bytes <= 64 << 10 ? 4 : size_bytes <= 1 << 20 ? 2 : 1;
}

bool IsText(const RequestSpec& spec) {
  return !spec.text.empty() || absl::EndsWith(spec.activation, ".py");
}

}  // namespace

absl::StatusOr<std::unique_ptr<PreparedRequest>> PreparedRequest::Make(
    const RequestSpec& spec, const std::vector<int64_t>& shape, Client& client,
    bool in_place, Client* local, uint64_t seed) {
  std::unique_ptr<PreparedRequest> request(
      new PreparedRequest(spec, shape, client, in_place));
  const absl::Status status = request->Prepare(seed, local);
  if (status.ok()) return request;
  return absl::Status(status.code(),
                      absl::StrCat(spec.name, ": ", status.message()));
}

bool PreparedRequest::IsStep() const {
  return spec_.kind == RequestKind::kPartials ||
         spec_.kind == RequestKind::kResidual ||
         spec_.kind == RequestKind::kStateless;
}

bool PreparedRequest::HasTensors() const {
  return spec_.kind != RequestKind::kRegister &&
         spec_.kind != RequestKind::kHostile;
}

absl::Status PreparedRequest::Register(Client& client, std::string& id) const {
  id = spec_.activation;
  if (!IsText(spec_)) return absl::OkStatus();
  std::string text = spec_.text;
  if (text.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(text, ReadFile(spec_.activation));
  }
  ACTSERVE_ASSIGN_OR_RETURN(const auto response,
                            client.RegisterActivation(text));
  id = response.activation().id();
  return absl::OkStatus();
}

absl::Status PreparedRequest::Prepare(uint64_t seed, Client* local) {
  seed_ = seed;
  if (spec_.kind == RequestKind::kHostile) {
    hostile_ = HostileCalls();
    variants_.resize(hostile_.size());
    return absl::OkStatus();
  }
  if (spec_.kind == RequestKind::kRegister) {
    variants_.resize(1);
    return absl::OkStatus();
  }
  size_bytes_ = NumElementsOf(shape_) * ItemSizeBytes(spec_.dtype);
  int num_inputs = 1;
  if (spec_.kind != RequestKind::kEcho) {
    ACTSERVE_RETURN_IF_ERROR(Register(client_, id_));
    ACTSERVE_ASSIGN_OR_RETURN(const v1::Activation activation,
                              client_.GetActivation(id_));
    input_names_.assign(activation.inputs().begin(), activation.inputs().end());
    num_inputs = activation.inputs_size();
    if (activation.reads_rows() && !axis_) axis_ = -1;
  }
  SeededRandom random(seed, /*stream=*/2);
  Client* const owner = in_place_ ? &client_ : nullptr;
  for (int i = 0; i < NumVariants(size_bytes_); ++i) {
    Variant& variant = variants_.emplace_back();
    for (int input = 0; input < num_inputs; ++input) {
      variant.inputs.push_back(AllocateTensor(size_bytes_, owner));
      FillNormal(spec_.dtype, random, variant.inputs.back());
    }
    if (spec_.kind == RequestKind::kResidual ||
        spec_.kind == RequestKind::kStateless) {
      variant.grad_output = AllocateTensor(size_bytes_, owner);
      FillNormal(spec_.dtype, random, variant.grad_output);
    }
  }
  const auto size = static_cast<int64_t>(size_bytes_);
  elements_ = NumElementsOf(shape_);
  bytes_sent_ = num_inputs * size;
  bytes_received_ = size;
  if (IsStep()) bytes_received_ += num_inputs * size;
  if (spec_.kind == RequestKind::kResidual) bytes_sent_ += size;
  if (spec_.kind == RequestKind::kStateless) {
    bytes_sent_ += (num_inputs + 1) * size;
  }
  if (spec_.kind == RequestKind::kEcho) {
    v1::ForwardRequest request;
    request.set_activation("relu");
    v1::Tensor& input = *request.add_inputs();
    input.set_dtype(spec_.dtype);
    for (const int64_t each : shape_) input.add_shape(each);
    echo_head_ = request.SerializeAsString();
    AppendPayloadHeader(size_bytes_, echo_head_);
    echo_ = std::make_unique<RawStub>(MakeChannel(client_.address()));
    return absl::OkStatus();
  }
  if (local == nullptr) return absl::OkStatus();
  std::string local_id;
  ACTSERVE_RETURN_IF_ERROR(Register(*local, local_id));
  for (int i = 0; i < num_variants(); ++i) {
    right_.push_back(NewAnswer(nullptr));
    ACTSERVE_RETURN_IF_ERROR(CallOn(*local, local_id, i, *right_.back()));
  }
  return absl::OkStatus();
}

std::unique_ptr<PreparedRequest::Answer> PreparedRequest::NewAnswer(
    Client* in_place) const {
  auto answer = std::make_unique<Answer>();
  if (!HasTensors()) return answer;
  const size_t num_tensors = IsStep() ? 1 + input_names_.size() : 1;
  for (size_t i = 0; i < num_tensors; ++i) {
    answer->tensors.push_back(AllocateTensor(size_bytes_, in_place));
  }
  return answer;
}

std::unique_ptr<PreparedRequest::Answer> PreparedRequest::BorrowAnswer() {
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Answer> answer = std::move(idle_.back());
      idle_.pop_back();
      return answer;
    }
  }
  return NewAnswer(in_place_ ? &client_ : nullptr);
}

void PreparedRequest::ReturnAnswer(std::unique_ptr<Answer> answer) {
  answer->resent = false;
  absl::MutexLock lock(&mutex_);
  idle_.push_back(std::move(answer));
}

absl::Status PreparedRequest::Call(int variant, Answer& answer) {
  return CallOn(client_, id_, variant, answer);
}

bool PreparedRequest::Verify(int variant, const Answer& answer) const {
  if (spec_.kind == RequestKind::kEcho) {
    return std::ranges::equal(answer.tensors[0].View(),
                              variants_[variant].inputs[0].View());
  }
  for (size_t i = 0; i < answer.tensors.size(); ++i) {
    if (std::memcmp(answer.tensors[i].bytes.get(),
                    right_[variant]->tensors[i].bytes.get(),
                    size_bytes_) != 0) {
      return false;
    }
  }
  return true;
}

absl::Status PreparedRequest::CallOn(Client& client, const std::string& id,
                                     int variant, Answer& answer) {
  switch (spec_.kind) {
    case RequestKind::kRegister:
      return CallRegister(client);
    case RequestKind::kHostile:
      return CallHostile(client, variant);
    case RequestKind::kEcho:
      return CallEcho(variants_[variant], answer);
    default:
      return CallForward(client, id, variants_[variant], answer);
  }
}

absl::Status PreparedRequest::CallForward(Client& client, const std::string& id,
                                          const Variant& variant,
                                          Answer& answer) {
  ForwardCall call;
  call.activation = id;
  for (const TensorMemory& input : variant.inputs) {
    call.inputs.push_back({spec_.dtype, shape_, input.View()});
  }
  call.output = answer.tensors[0].Span();
  call.options.axis = axis_;
  call.options.parameters = spec_.parameters;
  if (spec_.kind == RequestKind::kPartials) {
    for (size_t i = 0; i < input_names_.size(); ++i) {
      call.partials.push_back({input_names_[i], answer.tensors[i + 1].Span()});
    }
  }
  call.keep_residual = spec_.kind == RequestKind::kResidual;
  call.residual_lease = spec_.residual_lease;
  ACTSERVE_ASSIGN_OR_RETURN(const ForwardResult result,
                            client.ForwardWith(call));
  if (spec_.kind != RequestKind::kResidual &&
      spec_.kind != RequestKind::kStateless) {
    return absl::OkStatus();
  }
  answer.resent = call.keep_residual && !result.residual;
  return CallBackward(client, id, variant,
                      result.residual ? result.residual->handle() : "", answer);
}

absl::Status PreparedRequest::CallBackward(Client& client,
                                           const std::string& id,
                                           const Variant& variant,
                                           const std::string& residual,
                                           Answer& answer) {
  BackwardCall call;
  call.activation = id;
  call.residual = residual;
  for (const TensorMemory& input : variant.inputs) {
    call.inputs.push_back({spec_.dtype, shape_, input.View()});
  }
  call.grad_output =
      TensorView{spec_.dtype, shape_, variant.grad_output.View()};
  call.options.axis = axis_;
  call.options.parameters = spec_.parameters;
  for (size_t i = 0; i < input_names_.size(); ++i) {
    call.wrt.push_back({input_names_[i], answer.tensors[i + 1].Span()});
  }
  return client.Backward(call).status();
}

absl::Status PreparedRequest::CallRegister(Client& client) {
  const uint64_t number =
      num_registered_.fetch_add(1, std::memory_order_relaxed);
  return client
      .RegisterActivation(absl::StrCat("def load_", seed_, "_", number,
                                       "(x):\n    return x * ", number, "\n"))
      .status();
}

// Without the client, which would not take a reply that is the request, and
// would send a large tensor in chunks.
absl::Status PreparedRequest::CallEcho(const Variant& variant, Answer& answer) {
  const ByteSpan parts[] = {
      {reinterpret_cast<const std::byte*>(echo_head_.data()),
       echo_head_.size()},
      variant.inputs[0].View()};
  const RawStub::Reply reply =
      echo_->Call("/actserve.v1.ActivationService/Forward", parts,
                  absl::Now() + kEchoTimeout);
  if (!reply.status.ok()) return FromGrpcStatus(reply.status);
  size_t skip = echo_head_.size();
  size_t written = 0;
  for (const ByteSpan span : Spans(reply.slices)) {
    const size_t skipped = std::min(skip, span.size());
    skip -= skipped;
    const size_t taken = std::min(span.size() - skipped, size_bytes_ - written);
    std::memcpy(answer.tensors[0].bytes.get() + written, span.data() + skipped,
                taken);
    written += taken;
  }
  if (written == size_bytes_) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("an echo of ", written, " bytes, not ", size_bytes_));
}

absl::Status PreparedRequest::CallHostile(Client& client, int variant) {
  const HostileCall& call = hostile_[variant];
  const ByteSpan parts[] = {
      {reinterpret_cast<const std::byte*>(call.request.data()),
       call.request.size()}};
  return client.CallEncoded(call.method, parts, {}).status();
}

}  // namespace actserve
