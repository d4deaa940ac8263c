#include "client/cpp/replicas.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/connect/address.h"
#include "client/cpp/error_details.h"
#include "client/cpp/retry.h"

namespace actserve {
namespace {

// How long a wait may go on after it was cancelled.
constexpr absl::Duration kCancellationDelay = absl::Milliseconds(20);

std::string DrawSession() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16),
                      absl::Hex(random(), absl::kZeroPad16));
}

// True if the environment names a proxy, which gRPC asks for a name.
bool HasProxy() {
  return absl::c_any_of(
      std::initializer_list<const char*>{"grpc_proxy", "https_proxy",
                                         "http_proxy"},
      [](const char* variable) {
        const char* value = std::getenv(variable);
        return value != nullptr && value[0] != '\0';
      });
}

std::optional<HostPort> OwnName(const std::string& part) {
  if (!IsLoopback(part) && HasProxy()) return std::nullopt;
  return NameToLookUp(part);
}

bool IsCancelled(const Bounds& bounds) {
  return bounds.cancellation != nullptr && bounds.cancellation->cancelled();
}

absl::Status Cancelled() {
  return absl::CancelledError("cancelled before another try");
}

// The name by which gRPC would call the servers behind "dns:///NAME".
std::string AuthorityOf(std::string_view part) {
  return std::string(
      part.substr(part.find_first_not_of('/', part.find(':') + 1)));
}

uint64_t NextId() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

FailedAttempt FailureOf(const RawStub::Reply& reply) {
  return {reply.status.error_code(), reply.status.error_message(),
          reply.answered, reply.retry_pushback};
}

}  // namespace

Replica::Replica(std::string address, const std::string& authority,
                 const std::string& session, const ChannelSecurity& security,
                 int num_channels)
    : id_(NextId()), address_(std::move(address)) {
  for (int i = 0; i < num_channels; ++i) {
    channels_.push_back(std::make_unique<Channel>(
        MakeChannel(address_, authority, security.credentials,
                    security.tls_server_name,
                    /*own_connection=*/num_channels > 1),
        IsUnixSocket(address_) ? "" : session));
  }
}

Replica::Channel& Replica::LeastBusy() {
  Channel* best = channels_[0].get();
  for (const auto& channel : channels_) {
    if (channel->num_calls < best->num_calls) best = channel.get();
  }
  return *best;
}

Replicas::Replicas(std::string_view address, LookUp look_up,
                   ChannelSecurity security, int num_channels)
    : session_(DrawSession()),
      security_(std::move(security)),
      num_channels_(num_channels) {
  std::vector<HostPort> names;
  for (std::string& part : SplitAddress(address)) {
    auto name = OwnName(part);
    if (name) {
      parts_.push_back({std::move(part), names.size()});
      names.push_back(*std::move(name));
    } else {
      parts_.push_back({std::move(part), std::nullopt});
    }
  }
  may_be_several_ = parts_.size() > 1 || !names.empty();
  absl::MutexLock lock(&mutex_);
  answers_.resize(names.size());
  if (!names.empty()) {
    resolver_ =
        std::make_unique<Resolver>(std::move(names), std::move(look_up));
  }
  Update();
  // Clients with one list begin at different replicas.
  turn_ = absl::Uniform<size_t>(random_, 0, 1 << 20);
}

absl::StatusOr<RawStub::Reply> Replicas::Call(const std::string& method,
                                              absl::Span<const ByteSpan> parts,
                                              const Bounds& bounds,
                                              ReplicaPtr& place) {
  return Repeat(
      [&](RawStub& stub, const std::string& token) {
        return stub.Call(method, parts, bounds.deadline, bounds.cancellation,
                         bounds.headers, token);
      },
      bounds, place);
}

absl::StatusOr<RawStub::Reply> Replicas::Stream(const std::string& service,
                                                StreamExchange& exchange,
                                                const Bounds& bounds,
                                                ReplicaPtr& place) {
  return Repeat(
      [&](RawStub& stub, const std::string& token) {
        return stub.Stream(service, exchange, bounds.deadline,
                           bounds.cancellation, bounds.headers, token);
      },
      bounds, place);
}

absl::StatusOr<RawStub::Reply> Replicas::Repeat(Try attempt_once,
                                                const Bounds& bounds,
                                                ReplicaPtr& place) {
  const ReplicaPtr preferred = place;
  absl::InlinedVector<ReplicaPtr, 4> tried;
  // The shortest that is due after this round.
  absl::Duration pause = absl::InfiniteDuration();
  absl::Status error;
  for (int round = 1;;) {
    Standing::Attempt attempt;
    ReplicaPtr replica = Begin(tried, preferred, attempt);
    if (replica == nullptr && tried.empty()) {
      AwaitNames(bounds);
      if (IsCancelled(bounds)) return Cancelled();
      replica = Begin(tried, preferred, attempt);
    }
    if (replica != nullptr) {
      RawStub::Reply reply = Send(attempt_once, bounds, *replica, attempt);
      place = replica;
      if (reply.status.ok()) return reply;
      const std::optional<absl::Duration> next =
          PauseBeforeRetry(FailureOf(reply), round, DrawChance());
      error = FromGrpcStatus(reply.status);
      const bool cancelled_by_caller =
          reply.status.error_code() == grpc::StatusCode::CANCELLED &&
          IsCancelled(bounds);
      if (cancelled_by_caller || !next || absl::Now() >= bounds.deadline) {
        return error;
      }
      pause = std::min(pause, *next);
      tried.push_back(std::move(replica));
      continue;
    }
    if (tried.empty()) {
      error = NameError();
      pause = *PauseBeforeRetry({grpc::StatusCode::UNAVAILABLE}, round,
                                DrawChance());
    }
    if (round >= bounds.max_attempts ||
        absl::Now() + pause >= bounds.deadline) {
      return error;
    }
    if (Pause(pause, tried.empty() ? nullptr : tried.back().get(), bounds)) {
      return Cancelled();
    }
    ++round;
    tried.clear();
    pause = absl::InfiniteDuration();
  }
}

absl::StatusOr<RawStub::Reply> Replicas::CallOnce(
    const std::string& method, absl::Span<const ByteSpan> parts,
    const Bounds& bounds, const ReplicaPtr& replica) {
  Standing::Attempt attempt;
  Begin({}, replica, attempt);
  RawStub::Reply reply = Send(
      [&](RawStub& stub, const std::string& token) {
        return stub.Call(method, parts, bounds.deadline, bounds.cancellation,
                         bounds.headers, token);
      },
      bounds, *replica, attempt);
  if (!reply.status.ok()) return FromGrpcStatus(reply.status);
  return reply;
}

absl::StatusOr<std::vector<ReplicaPtr>> Replicas::All(const Bounds& bounds) {
  Refresh();
  if (!NamesNotFound().empty()) {
    AwaitNames(bounds);
    Refresh();
  }
  absl::MutexLock lock(&mutex_);
  if (replicas_.empty()) return NameError();
  return replicas_;
}

ReplicaPtr Replicas::Find(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  const auto found = absl::c_find_if(
      replicas_,
      [id](const ReplicaPtr& replica) { return replica->id() == id; });
  return found == replicas_.end() ? nullptr : *found;
}

std::vector<std::string> Replicas::NamesNotFound() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const Part& part : parts_) {
    if (part.name && answers_[*part.name] == nullptr) {
      names.push_back(part.address);
    }
  }
  return names;
}

absl::Status Replicas::NameError() const {
  absl::Status error = resolver_->status();
  if (error.ok()) error = absl::UnavailableError("no address is known yet");
  return error;
}

void Replicas::Refresh() {
  if (resolver_ == nullptr) return;
  Resolver::Answers current = resolver_->Current(absl::Now());
  absl::MutexLock lock(&mutex_);
  if (current == answers_) return;
  answers_ = std::move(current);
  Update();
}

void Replicas::Update() {
  std::vector<ReplicaPtr> before = std::move(replicas_);
  replicas_.clear();
  const auto has_address = [](const std::string& address) {
    return [&address](const ReplicaPtr& replica) {
      return replica->address() == address;
    };
  };
  const auto add = [&](const std::string& address,
                       const std::string& authority) {
    if (absl::c_any_of(replicas_, has_address(address))) return;
    const auto known = absl::c_find_if(before, has_address(address));
    replicas_.push_back(known != before.end()
                            ? *known
                            : std::make_shared<Replica>(address, authority,
                                                        session_, security_,
                                                        num_channels_));
  };
  for (const Part& part : parts_) {
    if (!part.name) {
      add(part.address, "");
    } else if (answers_[*part.name] != nullptr) {
      for (const std::string& target : *answers_[*part.name]) {
        add(target, AuthorityOf(part.address));
      }
    }
  }
}

ReplicaPtr Replicas::Begin(absl::Span<const ReplicaPtr> tried,
                           const ReplicaPtr& preferred,
                           Standing::Attempt& attempt) {
  Refresh();
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  ReplicaPtr chosen;
  if (preferred != nullptr && !absl::c_linear_search(tried, preferred)) {
    chosen = preferred;
  } else {
    absl::InlinedVector<const Standing*, 8> candidates;
    for (const ReplicaPtr& replica : replicas_) {
      candidates.push_back(absl::c_linear_search(tried, replica)
                               ? nullptr
                               : &replica->standing_);
    }
    const auto index = Choose(candidates, now, turn_);
    if (index) chosen = replicas_[*index];
  }
  if (chosen != nullptr) attempt = chosen->standing_.Begin(now);
  return chosen;
}

std::string Replicas::Token() const {
  return security_.token != nullptr ? security_.token->Get() : "";
}

RawStub::Reply Replicas::Send(Try attempt_once, const Bounds& bounds,
                              Replica& replica,
                              const Standing::Attempt& attempt) {
  TokenSource* const tokens = security_.token.get();
  RawStub::Reply reply;
  for (bool token_is_new = false;; token_is_new = true) {
    const std::string token = Token();
    Replica::Channel& channel = replica.LeastBusy();
    ++channel.num_calls;
    reply = attempt_once(channel.stub, token);
    --channel.num_calls;
    if (reply.status.error_code() != grpc::StatusCode::UNAUTHENTICATED ||
        token_is_new || tokens == nullptr || !tokens->Refresh(token)) {
      break;
    }
  }
  Outcome outcome = Outcome::kAnswered;
  if (!reply.status.ok()) {
    outcome = reply.status.error_code() == grpc::StatusCode::CANCELLED &&
                      IsCancelled(bounds)
                  ? Outcome::kDropped
                  : OutcomeOf(FailureOf(reply));
  }
  if (outcome == Outcome::kLost && resolver_ != nullptr) resolver_->Fail();
  absl::MutexLock lock(&mutex_);
  replica.standing_.End(attempt, outcome, absl::Now(),
                        reply.retry_pushback.value_or(absl::ZeroDuration()));
  return reply;
}

void Replicas::AwaitNames(const Bounds& bounds) {
  if (resolver_ == nullptr) return;
  while (!IsCancelled(bounds) && absl::Now() < bounds.deadline &&
         !resolver_->AwaitFor(
             std::min(kCancellationDelay, bounds.deadline - absl::Now()))) {
  }
}

bool Replicas::Pause(absl::Duration pause, Replica* replica,
                     const Bounds& bounds) {
  if (replica != nullptr) {
    return replica->channels_[0]->stub.Pause(pause, bounds.cancellation);
  }
  if (bounds.cancellation != nullptr) {
    return bounds.cancellation->AwaitFor(pause);
  }
  absl::SleepFor(pause);
  return false;
}

double Replicas::DrawChance() {
  absl::MutexLock lock(&mutex_);
  return absl::Uniform(random_, -1.0, 1.0);
}

}  // namespace actserve
