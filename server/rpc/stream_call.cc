#include "server/rpc/stream_call.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "grpc/slice.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/copy_fragments.h"
#include "server/evaluation/count_stages.h"
#include "server/evaluation/evaluation.h"
#include "server/identity/tenant.h"
#include "server/message/response.h"
#include "server/rpc/byte_buffer.h"
#include "server/rpc/caller.h"
#include "server/rpc/status.h"
#include "server/stream/frame.h"
#include "server/tracing/grpc/call_headers.h"

namespace actserve {
namespace {

// gRPC's call and ours.
constexpr int64_t kCallBytes = 16 << 10;

// A message as it arrived.
struct Message {
  // Goes after the slices: see TensorCall.
  grpc::ByteBuffer bytes;
  std::vector<grpc::Slice> slices = {};
};

absl::StatusOr<RequestFrame> Read(Message& message, size_t max_metadata_bytes) {
  if (!message.bytes.Dump(&message.slices).ok()) return NoMessageError();
  std::vector<Fragment> bytes;
  bytes.reserve(message.slices.size());
  for (const grpc::Slice& slice : message.slices) {
    bytes.push_back(
        {reinterpret_cast<const std::byte*>(slice.begin()), slice.size()});
  }
  return ReadFrame(bytes, max_metadata_bytes);
}

// A slice of `buffer`, which `calls` counts as an answer until gRPC lets go of
// it.
grpc::Slice SliceOf(Buffer buffer, std::shared_ptr<MemoryBudget::Charge> charge,
                    CallCounter* calls) {
  struct Owner {
    Buffer buffer;
    std::shared_ptr<MemoryBudget::Charge> charge;
    CallCounter* calls;
  };
  calls->EnterAnswer();
  auto* owner = new Owner{std::move(buffer), std::move(charge), calls};
  return grpc::Slice(
      owner->buffer.data(), owner->buffer.size_bytes(),
      [](void* sent) {
        const std::unique_ptr<Owner> owner(static_cast<Owner*>(sent));
        owner->buffer = Buffer();
        owner->charge.reset();
        owner->calls->Leave();
      },
      owner);
}

// A part of `slice`, which shares its memory.
grpc::Slice PartOf(const grpc::Slice& slice, size_t begin, size_t end) {
  const grpc_slice whole = slice.c_slice();
  const grpc::Slice part(grpc_slice_sub(whole, begin, end),
                         grpc::Slice::STEAL_REF);
  grpc_slice_unref(whole);
  return part;
}

Method CountedAs(TensorMethod method) {
  return method == TensorMethod::kForward ? Method::kForwardStream
                                          : Method::kBackwardStream;
}

}  // namespace

RefusedStream::RefusedStream(const absl::Status& status, Method method,
                             CallMetrics* metrics,
                             grpc::CallbackServerContext* context)
    : code_(status.code()),
      method_(method),
      metrics_(metrics),
      received_(absl::Now()) {
  Finish(Conclude(status, context));
}

void RefusedStream::OnDone() {
  if (metrics_ != nullptr) {
    metrics_->CountCall(method_, code_, absl::Now() - received_);
  }
  delete this;
}

// The evaluation of one slab. Deletes itself at its end.
class StreamCall::Slab final : private Evaluation {
 public:
  Slab(std::shared_ptr<StreamCall> call, int64_t number, DecodedRequest decoded,
       std::shared_ptr<const Program> program)
      : Evaluation(call->serving_, absl::Now(), call->deadline_),
        call_(std::move(call)),
        number_(number),
        decoded_(std::move(decoded)),
        program_(std::move(program)) {}

  // Deletes `slab` in the end.
  static void Run(std::unique_ptr<Slab> slab) {
    Slab* const running = slab.release();
    running->Evaluate(std::move(running->decoded_),
                      std::move(running->program_));
  }

 private:
  CallerId caller() const override { return call_->caller_; }
  bool IsCancelled() const override { return call_->context_.IsCancelled(); }
  // The stream has been charged for it.
  std::byte* PlaceOf(size_t tensor, int64_t size_bytes) override {
    if (buffers_.size() <= tensor) buffers_.resize(tensor + 1);
    buffers_[tensor] = parts().buffers.Get(size_bytes);
    return buffers_[tensor].data();
  }
  // A slab keeps no residual.
  std::shared_ptr<const void> ReleaseInputs() override { return nullptr; }
  void Succeed(TensorResult result) override {
    const std::unique_ptr<Slab> self(this);
    call_->OnSlab(number_, std::move(result), std::move(buffers_));
  }
  void Fail(const absl::Status& status) override {
    const std::unique_ptr<Slab> self(this);
    call_->OnSlabFailed(status);
  }

  const std::shared_ptr<StreamCall> call_;
  const int64_t number_;
  DecodedRequest decoded_;
  std::shared_ptr<const Program> program_;
  std::vector<Buffer> buffers_;
};

StreamReactor* StreamCall::Start(TensorMethod method, const CallerId& caller,
                                 const Parts& parts,
                                 grpc::CallbackServerContext* context) {
  const std::shared_ptr<StreamCall> call(
      new StreamCall(method, caller, parts, context));
  call->self_ = call;
  absl::MutexLock lock(&call->mu_);
  call->ReadNext();
  return call.get();
}

StreamCall::StreamCall(TensorMethod method, const CallerId& caller,
                       const Parts& parts, grpc::CallbackServerContext* context)
    : visit_{*parts.calls},
      method_(method),
      counted_as_(CountedAs(method)),
      caller_(caller),
      serving_(parts.serving),
      metrics_(parts.metrics),
      observer_(*parts.observer),
      context_(*context),
      received_(absl::Now()),
      deadline_(absl::FromChrono(context->deadline())),
      open_(parts.streams->Open(PeerOfUri(context->peer()),
                                [context] { context->TryCancel(); })) {}

absl::Status StreamCall::CancelledError() const {
  return absl::Now() >= deadline_
             ? absl::DeadlineExceededError("deadline passed within the stream")
             : absl::CancelledError("cancelled within the stream");
}

void StreamCall::OnReadDone(bool ok) {
  grpc::ByteBuffer bytes;
  bytes.Swap(&in_);
  bool is_first = false;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    is_first = !std::exchange(has_first_, true);
    // So that nobody ends the call while the message is decoded.
    computing_ |= is_first && ok && !ended_;
    input_ended_ |= !ok;
    if (ok && bytes.Valid()) {
      const auto size_bytes = static_cast<int64_t>(bytes.Length());
      record_.request_bytes += size_bytes;
      open_->CountMessage(size_bytes);
      if (metrics_ != nullptr) metrics_->CountReceived(size_bytes);
    }
    if (is_first && !ok) {
      Fail(context_.IsCancelled() ? CancelledError() : NoMessageError());
    } else if (!is_first && status_.ok() && !ended_) {
      absl::Status status;
      if (ok) {
        status = TakeChunk(bytes);
      } else if (!chunks_->AreComplete()) {
        status =
            context_.IsCancelled() ? CancelledError() : chunks_->EndError();
      }
      if (!status.ok()) Fail(status);
    }
  }
  if (is_first && ok) return TakeFirst(bytes);
  Advance();
}

void StreamCall::TakeFirst(const grpc::ByteBuffer& bytes) {
  absl::StatusOr<StreamRequest> decoded = DecodeFirst(bytes);
  std::shared_ptr<const RegisteredActivation> activation;
  ProgramKey key;
  {
    absl::MutexLock lock(&mu_);
    if (!decoded.ok()) Fail(decoded.status());
    // It may have been cancelled meanwhile.
    if (status_.ok() && !ended_) {
      decoded_ = *std::move(decoded);
      activation = decoded_->request.activation;
      key = decoded_->request.program;
      record_.activation = key.activation_id;
      record_.elements = decoded_->request.type.num_elements;
      open_->set_waits_for_client(false);
    } else {
      computing_ = false;
    }
  }
  if (activation == nullptr) return Advance();
  if (auto found = serving_.programs.Find(key)) {
    return OnProgram(std::move(found));
  }
  {
    absl::MutexLock lock(&mu_);
    record_.steps.compile = {absl::Now(), absl::Now()};
  }
  Programs::Waiter waiter;
  waiter.caller = caller_;
  waiter.deadline = deadline_;
  waiter.is_cancelled = [self = shared_from_this()] {
    return self->context_.IsCancelled();
  };
  waiter.done = [self = shared_from_this()](const Programs::Result& result) {
    {
      absl::MutexLock lock(&self->mu_);
      self->record_.steps.compile->end = absl::Now();
    }
    self->OnProgram(result);
  };
  serving_.programs.Get(std::move(activation), std::move(key),
                        std::move(waiter));
}

absl::StatusOr<StreamRequest> StreamCall::DecodeFirst(
    const grpc::ByteBuffer& bytes) {
  Message message = {bytes};
  // Room for the other fields of the message.
  constexpr size_t kOtherBytes = 64;
  ACTSERVE_ASSIGN_OR_RETURN(
      const RequestFrame frame,
      Read(message, serving_.limits.split.metadata_bytes + kOtherBytes));
  return DecodeStream(method_, frame, serving_.limits, serving_.registry,
                      serving_.residuals, caller_.tenant);
}

void StreamCall::OnProgram(const Programs::Result& result) {
  {
    absl::MutexLock lock(&mu_);
    computing_ = false;
    if (status_.ok()) {
      const absl::Status status =
          result.ok() ? Prepare(*result) : result.status();
      if (!status.ok()) Fail(status);
    }
  }
  Advance();
}

absl::Status StreamCall::Prepare(std::shared_ptr<const Program> program) {
  program_ = std::move(program);
  ACTSERVE_ASSIGN_OR_RETURN(
      Slabs slabs, Slabs::Cut(*std::move(decoded_), program_->lowered(),
                              serving_.limits.message_bytes));
  slabs_ = std::make_unique<const Slabs>(std::move(slabs));
  ACTSERVE_ASSIGN_OR_RETURN(
      request_charge_,
      serving_.memory.Take(MemoryBudget::Half::kRequests, caller_,
                           kCallBytes + slabs_->MostInputBytes()));
  ACTSERVE_ASSIGN_OR_RETURN(
      MemoryBudget::Charge results,
      serving_.memory.Take(MemoryBudget::Half::kResults, caller_,
                           slabs_->MostOutputBytes()));
  result_charge_ = std::make_shared<MemoryBudget::Charge>(std::move(results));
  chunks_ = std::make_unique<Chunks>(slabs_.get(), &serving_.buffers);
  size_t num_sums = 0;
  for (const Output& output : program_->lowered().graph.outputs) {
    if (output.summed && output.like < 0) ++num_sums;
  }
  sums_.resize(num_sums);
  const std::vector<double> none(num_sums);
  answers_.push_back({FirstFrame(
      ResponseHead(slabs_->request(), *program_, serving_.device.name(), none),
      slabs_->window_bytes())});
  return absl::OkStatus();
}

absl::Status StreamCall::TakeChunk(grpc::ByteBuffer& bytes) {
  auto message = std::make_shared<Message>();
  message->bytes.Swap(&bytes);
  constexpr size_t kMetadataBytes = 256;
  ACTSERVE_ASSIGN_OR_RETURN(RequestFrame frame, Read(*message, kMetadataBytes));
  const size_t most_slices = 4 + frame.payload_bytes / kMinChunkBytes;
  if (message->slices.size() <= most_slices) {
    return chunks_->Take(std::move(frame), std::move(message));
  }
  // It came in small frames, and would take a multiple of its bytes.
  auto whole =
      std::make_shared<Buffer>(serving_.buffers.Get(frame.payload_bytes));
  CopyFragments(frame.payload, whole->data());
  frame.payload = {{whole->data(), frame.payload_bytes}};
  return chunks_->Take(std::move(frame), std::move(whole));
}

void StreamCall::OnSlab(int64_t slab, TensorResult result,
                        std::vector<Buffer> buffers) {
  {
    absl::MutexLock lock(&mu_);
    computing_ = false;
    chunks_->Drop(slab);
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i].Add(result.sums[i]);
    total_.queue += result.queue;
    total_.stages.copy_in += result.stages.copy_in;
    total_.stages.compute += result.stages.compute;
    total_.stages.copy_out += result.stages.copy_out;
    if (status_.ok()) QueueChunks(slab, std::move(buffers));
  }
  Advance();
}

void StreamCall::OnSlabFailed(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    computing_ = false;
    Fail(status);
  }
  Advance();
}

void StreamCall::QueueChunks(int64_t slab, std::vector<Buffer> buffers) {
  const TensorRequest& request = slabs_->request();
  const int64_t offset =
      slabs_->ElementsOf(slab).begin * ItemSizeBytes(request.type.dtype);
  const std::vector<size_t> tensors = PayloadTensors(request);
  for (size_t p = 0; p < tensors.size(); ++p) {
    Buffer& buffer = buffers[tensors[p]];
    const size_t size_bytes = buffer.size_bytes();
    if (size_bytes == 0) continue;
    const grpc::Slice whole =
        SliceOf(std::move(buffer), result_charge_, &visit_.calls);
    for (size_t begin = 0; begin < size_bytes; begin += kMaxChunkBytes) {
      const size_t end =
          std::min<size_t>(size_bytes, begin + size_t{kMaxChunkBytes});
      answers_.push_back(
          {ChunkHead(static_cast<int32_t>(p),
                     offset + static_cast<int64_t>(begin), end - begin),
           PartOf(whole, begin, end), static_cast<int64_t>(end - begin)});
    }
    queued_bytes_ += static_cast<int64_t>(size_bytes);
  }
}

void StreamCall::Advance() {
  std::unique_ptr<Slab> slab;
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    if (status_.ok()) {
      QueueTaken();
      WriteNext();
      slab = NextSlab();
      ReadNext();
    }
    EndIfDone();
    open_->set_waits_for_client(!computing_);
  }
  if (slab != nullptr) Slab::Run(std::move(slab));
}

void StreamCall::QueueTaken() {
  if (writing_ || !answers_.empty() || chunks_ == nullptr) return;
  if (chunks_->taken_bytes() - told_taken_bytes_ >= kMaxChunkBytes) {
    answers_.emplace_back();
  }
}

void StreamCall::WriteNext() {
  if (writing_ || answers_.empty()) return;
  Answer answer = std::move(answers_.front());
  answers_.pop_front();
  writing_ = true;
  writing_bytes_ = answer.chunk_bytes;
  told_taken_bytes_ = chunks_->taken_bytes();
  std::vector<grpc::Slice> slices;
  slices.emplace_back(TakenField(told_taken_bytes_) + answer.head);
  if (answer.chunk) slices.push_back(*std::move(answer.chunk));
  out_ = grpc::ByteBuffer(slices.data(), slices.size());
  record_.response_bytes += static_cast<int64_t>(out_.Length());
  if (metrics_ != nullptr) {
    metrics_->CountSent(static_cast<int64_t>(out_.Length()));
  }
  StartWrite(&out_);
}

std::unique_ptr<StreamCall::Slab> StreamCall::NextSlab() {
  if (computing_ || slabs_ == nullptr || next_slab_ == slabs_->count()) {
    return nullptr;
  }
  if (queued_bytes_ > 0 &&
      queued_bytes_ + slabs_->output_bytes() > slabs_->result_window_bytes()) {
    return nullptr;
  }
  if (!chunks_->Has(next_slab_)) {
    if (chunks_->held_bytes() >= slabs_->window_bytes()) {
      Fail(chunks_->WindowError(next_slab_));
    }
    return nullptr;
  }
  computing_ = true;
  const int64_t number = next_slab_++;
  return std::make_unique<Slab>(
      shared_from_this(), number,
      slabs_->RequestOf(number, chunks_->PayloadsOf(number)), program_);
}

void StreamCall::ReadNext() {
  if (reading_ || input_ended_ || !status_.ok()) return;
  const bool wants_more =
      !has_first_ ||
      (chunks_ != nullptr && chunks_->held_bytes() < slabs_->window_bytes());
  if (!wants_more) return;
  reading_ = true;
  StartRead(&in_);
}

void StreamCall::Fail(const absl::Status& status) {
  if (!status_.ok()) return;
  status_ = status;
  answers_.clear();
}

std::string StreamCall::LastMessage() {
  std::vector<double> sums;
  sums.reserve(sums_.size());
  for (const PiecewiseSum& sum : sums_) sums.push_back(sum.Total());
  std::string response =
      ResponseHead(slabs_->request(), *program_, serving_.device.name(), sums);
  // Two clocks: the difference may be a little below zero.
  total_.other =
      std::max(absl::ZeroDuration(),
               absl::Now() - received_ - total_.queue - total_.stages.copy_in -
                   total_.stages.compute - total_.stages.copy_out);
  AppendTimings(total_, &response);
  return LastFrame(response);
}

void StreamCall::EndIfDone() {
  if (writing_ || computing_) return;
  const bool is_done =
      slabs_ != nullptr && next_slab_ == slabs_->count() && answers_.empty();
  if (status_.ok() && !is_done) return;
  ended_ = true;
  if (chunks_ != nullptr) told_taken_bytes_ = chunks_->taken_bytes();
  chunks_.reset();
  if (status_.ok()) {
    const grpc::Slice last(TakenField(told_taken_bytes_) + LastMessage());
    out_ = grpc::ByteBuffer(&last, 1);
    record_.response_bytes += static_cast<int64_t>(out_.Length());
    if (metrics_ != nullptr) {
      metrics_->CountSent(static_cast<int64_t>(out_.Length()));
      CountStages(total_.stages, metrics_);
    }
  }
  Observe();
  const grpc::Status status = Conclude(status_, &context_);
  if (status.ok()) {
    StartWriteAndFinish(&out_, grpc::WriteOptions(), status);
  } else {
    Finish(status);
  }
}

void StreamCall::Observe() {
  if (!observer_.is_on()) return;
  record_.method = NameOf(counted_as_);
  record_.code = status_.code();
  record_.received = received_;
  record_.ended = absl::Now();
  record_.tenant = TenantNameOf(caller_);
  if (status_.ok()) {
    record_.batch_requests = 1;
    LayStages(received_, record_.ended, total_.stages.copy_in,
              total_.stages.compute, total_.stages.copy_out, &record_.steps);
  }
  observer_.Observe(std::move(record_), observer_.IdsOf(HeadersOf(context_)),
                    [this] { return context_.peer(); });
}

void StreamCall::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    open_->CountSent(writing_bytes_);
    queued_bytes_ -= std::exchange(writing_bytes_, 0);
    // gRPC may be asked for its memory now.
    out_.Clear();
    if (!ok) Fail(CancelledError());
  }
  Advance();
}

void StreamCall::OnCancel() {
  {
    absl::MutexLock lock(&mu_);
    Fail(CancelledError());
  }
  Advance();
}

void StreamCall::OnDone() {
  absl::StatusCode code;
  {
    absl::MutexLock lock(&mu_);
    code = status_.code();
  }
  if (metrics_ != nullptr) {
    metrics_->CountCall(counted_as_, code, absl::Now() - received_);
  }
  open_.reset();
  // The last owner may be a slab's thread, which has just left the lock.
  const std::shared_ptr<StreamCall> self = std::move(self_);
}

}  // namespace actserve
