#include "server/state/programs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/base/failpoint.h"
#include "kernels/base/status_macros.h"
#include "server/identity/tenant.h"
#include "server/metrics/refusals.h"
#include "server/observe/log.h"
#include "server/scheduling/retry_after.h"

namespace actserve {
namespace {

// About what a few compilations take.
constexpr absl::Duration kPauseWhenFull = absl::Seconds(1);

// Why `waiter` does not wait any more; OK if it does.
absl::Status WhyUnwanted(const Programs::Waiter& waiter, absl::Time now) {
  if (waiter.is_cancelled != nullptr && waiter.is_cancelled()) {
    return absl::CancelledError("cancelled before its program was compiled");
  }
  if (now >= waiter.deadline) {
    return absl::DeadlineExceededError(
        "deadline passed before its program was compiled");
  }
  return absl::OkStatus();
}

absl::StatusOr<LoweredProgram> Lower(const Activation& activation,
                                     const ProgramKey& key) {
  const std::vector<std::string> names = NamesOf(activation, key.variables);
  const std::vector<std::string> cotangents =
      NamesOf(activation, key.cotangents);
  std::shared_ptr<const Activation> broadcasting;
  if (key.broadcasts != 0) {
    ACTSERVE_ASSIGN_OR_RETURN(broadcasting, activation.WithBroadcasts(NamesOf(
                                                activation, key.broadcasts)));
  }
  const Activation& from = broadcasting == nullptr ? activation : *broadcasting;
  switch (key.direction) {
    case ProgramKey::Direction::kForward:
      return from.LowerForward(key.dtype, names);
    case ProgramKey::Direction::kBackward:
      return from.LowerBackward(key.dtype, names);
    case ProgramKey::Direction::kSecondOrder:
      return from.LowerSecondOrder(key.dtype, cotangents, names,
                                   key.wrt_grad_output);
    case ProgramKey::Direction::kTangent:
      return from.LowerTangent(key.dtype, names);
  }
  return absl::InternalError("a program of no direction");
}

bool Waits(const std::vector<Programs::Waiter>& waiters,
           const CallerId& caller) {
  return std::ranges::any_of(waiters, [&](const Programs::Waiter& waiter) {
    return waiter.caller == caller;
  });
}

}  // namespace

Programs::Answers::~Answers() {
  for (const auto& [done, result] : answers_) done(result);
}

Programs::Programs(const Options& options, Device* device, const Clock* clock,
                   WorkerPool* pool)
    : options_(options),
      device_(device),
      clock_(clock),
      pool_(pool),
      ready_(options.max_programs) {}

std::shared_ptr<const Program> Programs::Find(const ProgramKey& key) {
  absl::MutexLock lock(&mu_);
  auto* found = ready_.Find(key);
  if (found == nullptr) return nullptr;
  num_found_.Increment();
  return *found;
}

// A copy of the key, because its owner may end with the answer.
void Programs::Get(std::shared_ptr<const RegisteredActivation> activation,
                   // NOLINTNEXTLINE(performance-unnecessary-value-param)
                   ProgramKey key, Waiter waiter) {
  const CallerId caller = waiter.caller;
  {
    Answers answers;  // Given after the lock is released.
    absl::MutexLock lock(&mu_);
    if (auto* ready = ready_.Find(key)) {
      return answers.Add(std::move(waiter.done), *ready);
    }
    if (absl::Status status = Admit(key, caller, answers); !status.ok()) {
      return answers.Add(std::move(waiter.done), std::move(status));
    }
    Flight& flight = flights_[key];
    flight.activation = std::move(activation);
    const bool is_queued = flight.running || Waits(flight.waiters, caller);
    Join(flight, std::move(waiter));
    if (is_queued) return;
  }
  Enqueue(key, caller);
}

void Programs::Sweep() {
  Answers answers;
  absl::MutexLock lock(&mu_);
  DropAllUnwanted(answers);
}

void Programs::Stop(const absl::Status& why) {
  Answers answers;
  absl::MutexLock lock(&mu_);
  stopped_ = why;
  const auto tell = [&](const Waiter&) { return why; };
  for (auto& [key, flight] : flights_) Answer(flight, tell, answers);
  ForgetEmpty();
}

int64_t Programs::count() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int64_t>(ready_.entries().size());
}

absl::Duration Programs::UsedTime(uint64_t peer) const {
  absl::MutexLock lock(&mu_);
  return budget_.Owed(peer, clock_->Now());
}

int Programs::num_waiting() const {
  absl::MutexLock lock(&mu_);
  return num_waiting_;
}

void Programs::Enqueue(const ProgramKey& key, const CallerId& caller) {
  pool_->Submit(caller, [this, key, caller](const absl::Status& turn) {
    OnTurn(key, caller, turn);
  });
}

void Programs::OnTurn(const ProgramKey& key, const CallerId& caller,
                      const absl::Status& turn) {
  const auto activation = Begin(key, caller, turn);
  if (activation == nullptr) return;
  bool stopped = false;
  const StopToken stop([&] {
    absl::Status status = CheckWanted(key);
    stopped |= !status.ok();
    return status;
  });
  const absl::Time start = clock_->Now();
  const Result result = Compile(activation->activation(), key, stop);
  {
    absl::MutexLock lock(&mu_);
    const absl::Time now = clock_->Now();
    budget_.Charge(caller.peer, TimePerMinute(caller), now - start, now);
    compile_times_.Observe(absl::ToInt64Nanoseconds(now - start));
  }
  stopped &= !result.ok();
  if (stopped) {
    LogEvent(LogLevel::kDebug, "compilation_stopped",
             {{"activation", key.activation_id}});
  }
  Land(key, result, stopped);
}

std::shared_ptr<const RegisteredActivation> Programs::Begin(
    const ProgramKey& key, const CallerId& caller, const absl::Status& turn) {
  Answers answers;
  absl::MutexLock lock(&mu_);
  const auto it = flights_.find(key);
  // Another turn was first.
  if (it == flights_.end() || it->second.running) return nullptr;
  Flight& flight = it->second;
  DropUnwanted(flight, answers);
  const absl::Status may_begin = turn.ok() ? CheckBudget(caller) : turn;
  if (!may_begin.ok()) {
    const auto refuse = [&](const Waiter& waiter) -> std::optional<Result> {
      if (!(waiter.caller == caller)) return std::nullopt;
      if (turn.ok()) CountRefusal(Refusal::kCompileSeconds);
      return may_begin;
    };
    Answer(flight, refuse, answers);
  }
  if (flight.waiters.empty()) {
    flights_.erase(it);
    return nullptr;
  }
  // Those of other callers wait for their own turns.
  if (!Waits(flight.waiters, caller)) return nullptr;
  flight.running = true;
  return flight.activation;
}

Programs::Result Programs::Compile(const Activation& activation,
                                   const ProgramKey& key,
                                   const StopToken& stop) {
  LogEvent(LogLevel::kDebug, "compiling", {{"activation", key.activation_id}});
  ACTSERVE_ASSIGN_OR_RETURN(const LoweredProgram lowered,
                            Lower(activation, key));
  ACTSERVE_RETURN_IF_ERROR(stop.Check());
  if (const int millis = ACTSERVE_FAILPOINT("slow_compile"); millis > 0) {
    absl::SleepFor(absl::Milliseconds(millis));
  }
  if (ACTSERVE_FAILPOINT("compile_error") != 0) {
    return absl::InternalError("failpoint: compile_error");
  }
  return device_->Compile(lowered, stop);
}

absl::Status Programs::CheckWanted(const ProgramKey& key) {
  Answers answers;
  absl::MutexLock lock(&mu_);
  if (!stopped_.ok()) return stopped_;
  Flight& flight = flights_.find(key)->second;
  DropUnwanted(flight, answers);
  if (flight.waiters.empty()) return absl::CancelledError("nobody waits");
  return absl::OkStatus();
}

void Programs::Land(const ProgramKey& key, const Result& result, bool stopped) {
  decltype(ready_)::Entries dropped;  // Destroyed after the lock is released.
  std::vector<CallerId> callers;
  {
    Answers answers;
    absl::MutexLock lock(&mu_);
    if (result.ok()) dropped = ready_.Put(key, *result);
    const auto it = flights_.find(key);
    Flight& flight = it->second;
    DropUnwanted(flight, answers);
    if (stopped && !flight.waiters.empty()) {
      // They came after the compilation was told to stop.
      flight.running = false;
      for (const Waiter& waiter : flight.waiters) {
        if (!std::ranges::count(callers, waiter.caller)) {
          callers.push_back(waiter.caller);
        }
      }
    } else {
      Answer(flight, [&](const Waiter&) { return result; }, answers);
      flights_.erase(it);
    }
  }
  for (const CallerId& caller : callers) Enqueue(key, caller);
}

absl::Status Programs::Admit(const ProgramKey& key, const CallerId& caller,
                             Answers& answers) {
  if (!stopped_.ok()) return stopped_;
  const auto flight = flights_.find(key);
  if (flight == flights_.end() || !flight->second.running) {
    if (absl::Status status = CheckBudget(caller); !status.ok()) {
      CountRefusal(Refusal::kCompileSeconds);
      return status;
    }
  }
  return MakeRoom(caller, answers);
}

absl::Status Programs::MakeRoom(const CallerId& caller, Answers& answers) {
  if (num_waiting_ < options_.max_waiting) return absl::OkStatus();
  DropAllUnwanted(answers);
  if (num_waiting_ < options_.max_waiting) return absl::OkStatus();
  absl::Status full = WithRetryAfter(
      absl::ResourceExhaustedError(
          absl::StrCat("queue full: ", num_waiting_,
                       " requests are waiting for a compilation, limit ",
                       options_.max_waiting, " (--max_waiting_for_programs)")),
      kPauseWhenFull);
  const auto largest = std::ranges::max_element(
      waiting_by_peer_, {}, [](const auto& peer) { return peer.second; });
  const auto own = waiting_by_peer_.find(caller.peer);
  const int own_count = own == waiting_by_peer_.end() ? 0 : own->second;
  CountRefusal(Refusal::kCompileQueue);
  if (largest->second < own_count + 2) return full;
  bool found = false;
  const auto refuse = [&, victim = largest->first](
                          const Waiter& waiter) -> std::optional<Result> {
    if (found || waiter.caller.peer != victim) return std::nullopt;
    found = true;
    return full;
  };
  for (auto& [key, flight] : flights_) {
    Answer(flight, refuse, answers);
    if (found) break;
  }
  ForgetEmpty();
  return absl::OkStatus();
}

absl::Duration Programs::TimePerMinute(const CallerId& caller) const {
  if (caller.tenant == nullptr) return options_.compile_time_per_minute;
  const absl::Duration quota = caller.tenant->compile_time_per_minute();
  return quota == absl::InfiniteDuration() ? options_.compile_time_per_minute
                                           : quota;
}

absl::Status Programs::CheckBudget(const CallerId& caller) {
  const absl::Duration per_minute = TimePerMinute(caller);
  const absl::Duration wait =
      budget_.Wait(caller.peer, per_minute, clock_->Now());
  if (wait == absl::ZeroDuration()) return absl::OkStatus();
  return WithRetryAfter(
      absl::ResourceExhaustedError(absl::StrCat(
          "this caller's programs took too long to compile, limit ",
          absl::FormatDuration(per_minute),
          " a minute (--max_compile_seconds_per_minute, or the tenant's "
          "compile_seconds_per_minute)")),
      wait);
}

void Programs::Join(Flight& flight, Waiter waiter) {
  ++num_waiting_;
  ++waiting_by_peer_[waiter.caller.peer];
  flight.waiters.push_back(std::move(waiter));
}

void Programs::Answer(
    Flight& flight,
    absl::FunctionRef<std::optional<Result>(const Waiter&)> answer,
    Answers& answers) {
  std::vector<Waiter> left;
  for (Waiter& waiter : flight.waiters) {
    std::optional<Result> result = answer(waiter);
    if (!result.has_value()) {
      left.push_back(std::move(waiter));
      continue;
    }
    --num_waiting_;
    const auto peer = waiting_by_peer_.find(waiter.caller.peer);
    if (--peer->second == 0) waiting_by_peer_.erase(peer);
    answers.Add(std::move(waiter.done), *std::move(result));
  }
  flight.waiters = std::move(left);
}

void Programs::DropUnwanted(Flight& flight, Answers& answers) {
  const auto tell_why =
      [now = clock_->Now()](const Waiter& waiter) -> std::optional<Result> {
    absl::Status why = WhyUnwanted(waiter, now);
    if (why.ok()) return std::nullopt;
    return why;
  };
  Answer(flight, tell_why, answers);
}

void Programs::DropAllUnwanted(Answers& answers) {
  for (auto& [key, flight] : flights_) DropUnwanted(flight, answers);
  ForgetEmpty();
}

void Programs::ForgetEmpty() {
  absl::erase_if(flights_, [](const auto& flight) {
    return flight.second.waiters.empty() && !flight.second.running;
  });
}

}  // namespace actserve
