#include "server/state/programs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "server/observe/log.h"

namespace actserve {

Programs::Programs(const Options& options, Device* device, WorkerPool* pool)
    : options_(options),
      device_(device),
      pool_(pool),
      ready_(options.max_programs) {}

std::shared_ptr<const Program> Programs::Find(const ProgramKey& key) {
  absl::MutexLock lock(&mu_);
  auto* found = ready_.Find(key);
  return found != nullptr ? *found : nullptr;
}

void Programs::Get(
    const std::shared_ptr<const RegisteredActivation>& activation,
    const ProgramKey& key, Done done) {
  Result now = nullptr;  // what can be said without a compilation
  bool first = false;
  {
    absl::MutexLock lock(&mu_);
    if (auto* ready = ready_.Find(key)) {
      now = *ready;
    } else if (num_waiting_ >= options_.max_waiting) {
      now = absl::ResourceExhaustedError(
          absl::StrCat("queue full: ", num_waiting_,
                       " requests are waiting for a compilation, limit ",
                       options_.max_waiting, " (--max_waiting_for_programs)"));
    } else {
      std::vector<Done>& waiters = waiting_[key];
      first = waiters.empty();
      waiters.push_back(std::exchange(done, nullptr));
      ++num_waiting_;
    }
  }
  if (done) return done(now);
  if (!first) return;
  const absl::Status accepted = pool_->Submit([this, activation, key] {
    Land(key, Compile(activation->activation(), key));
  });
  if (!accepted.ok()) Land(key, accepted);
}

Programs::Result Programs::Compile(const Activation& activation,
                                   const ProgramKey& key) {
  std::vector<std::string> names;
  const auto& inputs = activation.inputs();
  const auto& parameters = activation.parameters();
  for (size_t i = 0; i < inputs.size() + parameters.size(); ++i) {
    if ((key.variables >> i & 1) == 0) continue;
    names.push_back(i < inputs.size() ? inputs[i]
                                      : parameters[i - inputs.size()].name);
  }
  LogEvent(LogLevel::kDebug, "compiling", {{"activation", key.activation_id}});
  ACTSERVE_ASSIGN_OR_RETURN(const LoweredProgram lowered,
                            key.direction == ProgramKey::Direction::kForward
                                ? activation.LowerForward(key.dtype, names)
                                : activation.LowerBackward(key.dtype, names));
  return device_->Compile(lowered);
}

void Programs::Land(const ProgramKey& key, const Result& result) {
  std::vector<Done> waiters;
  {
    absl::MutexLock lock(&mu_);
    if (result.ok()) ready_.Put(key, *result);
    auto it = waiting_.find(key);
    waiters = std::move(it->second);
    waiting_.erase(it);
    num_waiting_ -= static_cast<int>(waiters.size());
  }
  for (const Done& done : waiters) done(result);
}

}  // namespace actserve
