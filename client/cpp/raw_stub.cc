#include "client/cpp/raw_stub.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "client/cpp/connect/address.h"
#include "client/cpp/retry.h"
#include "client/cpp/stream/run.h"
#include "grpc/grpc.h"
#include "grpc/slice.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/byte_buffer.h"
#include "proto/error_trailers.h"

namespace actserve {
namespace {

// Up to here a copy costs less than a reference with its own bookkeeping.
constexpr size_t kCopiedBytes = 16 << 10;
// How long a pause may go on after it was cancelled.
constexpr absl::Duration kCancellationDelay = absl::Milliseconds(20);

// Counts the slices of one request that gRPC still holds.
class Loan {
 public:
  Loan(int num_slices, std::atomic<int>& num_on_loan)
      : held_(num_slices), num_on_loan_(num_on_loan) {
    num_on_loan_ += num_slices;
  }

  grpc::Slice Lend(ByteSpan bytes) {
    // gRPC's slices are mutable by type; a request's are only read.
    return grpc::Slice(
        const_cast<std::byte*>(bytes.data()), bytes.size(),
        [](void* loan) { static_cast<Loan*>(loan)->TakeBack(); }, this);
  }

  // Returns when every slice was given back. All of ours must be gone.
  void AwaitReturn() { held_.Wait(); }

 private:
  void TakeBack() {
    --num_on_loan_;
    held_.DecrementCount();  // the last thing: the loan may end here
  }

  absl::BlockingCounter held_;
  std::atomic<int>& num_on_loan_;
};

// `parts` as slices; those too large to copy are lent.
std::vector<grpc::Slice> ToSlices(absl::Span<const ByteSpan> parts,
                                  std::atomic<int>& num_on_loan,
                                  std::optional<Loan>& loan) {
  size_t size_bytes = 0;
  int num_lent = 0;
  for (const ByteSpan part : parts) {
    size_bytes += part.size();
    if (part.size() > kCopiedBytes) ++num_lent;
  }
  std::vector<grpc::Slice> slices;
  if (size_bytes <= kCopiedBytes) {
    grpc_slice copy = grpc_slice_malloc(size_bytes);
    uint8_t* to = GRPC_SLICE_START_PTR(copy);
    for (const ByteSpan part : parts) {
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
    slices.emplace_back(copy, grpc::Slice::STEAL_REF);
    return slices;
  }
  slices.reserve(parts.size());
  if (num_lent > 0) loan.emplace(num_lent, num_on_loan);
  for (const ByteSpan part : parts) {
    slices.push_back(part.size() > kCopiedBytes
                         ? loan->Lend(part)
                         : grpc::Slice(part.data(), part.size()));
  }
  return slices;
}

std::optional<absl::Duration> RetryPushback(
    const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(kPushbackTrailer);
  if (found == trailers.end()) return std::nullopt;
  int64_t millis = 0;
  if (!absl::SimpleAtoi(
          absl::string_view(found->second.data(), found->second.size()),
          &millis) ||
      millis < 0) {
    return std::nullopt;
  }
  return absl::Milliseconds(millis);
}

// What the trailers say of an error.
void SetError(const grpc::ClientContext& context, RawStub::Reply* reply) {
  reply->answered =
      context.GetServerTrailingMetadata().contains(kAnsweredTrailer);
  reply->retry_pushback = RetryPushback(context);
}

}  // namespace

RawStub::RawStub(std::shared_ptr<grpc::Channel> channel, std::string session)
    : session_(std::move(session)),
      channel_(std::move(channel)),
      stub_(channel_) {}

RawStub::~RawStub() {
  absl::MutexLock lock(&mutex_);
  for (auto& queue : idle_queues_) {
    queue->Shutdown();
    void* tag;
    bool ok;
    while (queue->Next(&tag, &ok)) {
    }
  }
}

RawStub::Reply RawStub::Call(const std::string& method,
                             absl::Span<const ByteSpan> parts,
                             absl::Time deadline, Cancellation* cancellation,
                             const Headers& headers, const std::string& token) {
  Reply reply;
  std::optional<Loan> loan;
  auto queue = BorrowQueue();
  {
    grpc::ClientContext context;
    Prepare(deadline, headers, token, &context);
    std::vector<grpc::Slice> slices = ToSlices(parts, num_on_loan_, loan);
    const grpc::ByteBuffer request(slices.data(), slices.size());
    slices.clear();
    grpc::ByteBuffer response;
    auto call = stub_.PrepareUnaryCall(&context, method, request, queue.get());
    if (cancellation != nullptr) cancellation->Add(context);
    call->StartCall();
    call->Finish(&response, &reply.status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue->Next(&tag, &ok);
    assert(ok);
    if (cancellation != nullptr) cancellation->Remove(context);
    if (!reply.status.ok()) {
      SetError(context, &reply);
    } else if (response.Valid()) {
      reply.status = response.Dump(&reply.slices);
    }
  }
  // Only now, with the context gone, does gRPC drop what it did not send.
  if (loan) loan->AwaitReturn();
  ReturnQueue(std::move(queue));
  return reply;
}

RawStub::Reply RawStub::Stream(const std::string& service,
                               StreamExchange& exchange, absl::Time deadline,
                               Cancellation* cancellation,
                               const Headers& headers,
                               const std::string& token) {
  Reply reply;
  exchange.Restart();
  ChunkLoans loans(&num_on_loan_);
  auto queue = BorrowQueue();
  absl::Status refused;
  {
    grpc::ClientContext context;
    Prepare(deadline, headers, token, &context);
    if (cancellation != nullptr) cancellation->Add(context);
    reply.status = RunStream(stub_, absl::StrCat(service, exchange.method()),
                             context, *queue, loans, exchange, refused);
    if (cancellation != nullptr) cancellation->Remove(context);
    if (!reply.status.ok()) SetError(context, &reply);
  }
  // As above.
  loans.AwaitReturn();
  ReturnQueue(std::move(queue));
  if (refused.ok() && reply.status.ok()) {
    auto slices = exchange.TakeReply();
    if (slices.ok()) {
      reply.slices = *std::move(slices);
    } else {
      refused = slices.status();
    }
  }
  if (!refused.ok()) {
    // The server answered, and nothing that could be used.
    reply.status = grpc::Status(grpc::StatusCode::INTERNAL,
                                std::string(refused.message()));
    reply.answered = true;
  }
  return reply;
}

void RawStub::Prepare(absl::Time deadline, const Headers& headers,
                      const std::string& token,
                      grpc::ClientContext* context) const {
  if (deadline != absl::InfiniteFuture()) {
    context->set_deadline(absl::ToChronoTime(deadline));
  }
  if (!session_.empty()) context->AddMetadata(kSessionKey, session_);
  for (const auto& [name, value] : headers) context->AddMetadata(name, value);
  if (!token.empty()) {
    context->AddMetadata("authorization", absl::StrCat("Bearer ", token));
  }
}

bool RawStub::Pause(absl::Duration pause, const Cancellation* cancellation) {
  const absl::Time end = absl::Now() + pause;
  for (;;) {
    if (cancellation != nullptr && cancellation->cancelled()) return true;
    const absl::Time now = absl::Now();
    if (now >= end) return false;
    const absl::Time until =
        cancellation == nullptr ? end : std::min(end, now + kCancellationDelay);
    channel_->WaitForStateChange(channel_->GetState(/*try_to_connect=*/true),
                                 absl::ToChronoTime(until));
  }
}

std::unique_ptr<grpc::CompletionQueue> RawStub::BorrowQueue() {
  absl::MutexLock lock(&mutex_);
  if (idle_queues_.empty()) return std::make_unique<grpc::CompletionQueue>();
  auto queue = std::move(idle_queues_.back());
  idle_queues_.pop_back();
  return queue;
}

void RawStub::ReturnQueue(std::unique_ptr<grpc::CompletionQueue> queue) {
  absl::MutexLock lock(&mutex_);
  idle_queues_.push_back(std::move(queue));
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::string& authority,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const std::string& tls_server_name, bool own_connection) {
  // A reference to gRPC that is never given back. The thread that drops the
  // last one waits for gRPC's own poller, for up to 10 s if a large write was
  // cancelled.
  [[maybe_unused]] static const bool initialized = (grpc_init(), true);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   absl::ToInt64Milliseconds(kFirstBackoff));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   absl::ToInt64Milliseconds(kMaxBackoff));
  if (own_connection) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  }
  if (!authority.empty()) {
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  }
  // A proxy of the environment is for other machines.
  if (IsLoopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (credentials == nullptr || IsUnixSocket(address)) {
    return grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments);
  }
  const std::string server_name =
      !tls_server_name.empty() ? tls_server_name
                               : authority.substr(0, authority.rfind(':'));
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace actserve
