#include "client/cpp/balance/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace actserve {
namespace {

// The target of one address; nothing for other families.
std::optional<std::string> TargetOf(const addrinfo& found,
                                    const std::string& port) {
  char text[INET6_ADDRSTRLEN];
  if (found.ai_family == AF_INET) {
    sockaddr_in address;
    std::memcpy(&address, found.ai_addr, sizeof(address));
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return absl::StrCat("ipv4:", text, ":", port);
  }
  if (found.ai_family == AF_INET6) {
    sockaddr_in6 address;
    std::memcpy(&address, found.ai_addr, sizeof(address));
    inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    // A link-local address is of no use without its interface.
    if (address.sin6_scope_id != 0) {
      return absl::StrCat("ipv6:[", text, "%25", address.sin6_scope_id,
                          "]:", port);
    }
    return absl::StrCat("ipv6:[", text, "]:", port);
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> LookUpBySystem(const HostPort& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error =
      getaddrinfo(name.host.c_str(), name.port.c_str(), &hints, &first);
  if (error != 0) {
    const int saved_errno = errno;
    return absl::UnavailableError(absl::StrCat(
        "name '", name.host, "' is not resolved: ",
        error == EAI_SYSTEM ? strerror(saved_errno) : gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(first,
                                                                 &freeaddrinfo);
  std::vector<std::string> targets;
  for (const addrinfo* found = first; found != nullptr;
       found = found->ai_next) {
    auto target = TargetOf(*found, name.port);
    if (target && !absl::c_linear_search(targets, *target)) {
      targets.push_back(*std::move(target));
    }
  }
  if (targets.empty()) {
    return absl::UnavailableError(
        absl::StrCat("name '", name.host, "' has no address"));
  }
  return targets;
}

void LookUpSchedule::Begin(absl::Time now) {
  begun_ = now;
  is_running_ = true;
  has_failed_ = false;
}

void LookUpSchedule::End(bool ok) {
  is_running_ = false;
  has_failed_ |= !ok;
}

struct Resolver::State {
  State(std::vector<HostPort> names, LookUp look_up)
      : names(std::move(names)),
        look_up(std::move(look_up)),
        answers(this->names.size()) {}

  const std::vector<HostPort> names;
  const LookUp look_up;
  absl::Mutex mutex;
  LookUpSchedule schedule ABSL_GUARDED_BY(mutex);
  Answers answers ABSL_GUARDED_BY(mutex);
  absl::Status status ABSL_GUARDED_BY(mutex);
  bool is_running ABSL_GUARDED_BY(mutex) = false;
};

Resolver::Resolver(std::vector<HostPort> names, LookUp look_up)
    : state_(std::make_shared<State>(std::move(names), std::move(look_up))) {}

Resolver::Answers Resolver::Current(absl::Time now) {
  absl::MutexLock lock(&state_->mutex);
  if (!state_->names.empty() && state_->schedule.IsDue(now)) {
    state_->schedule.Begin(now);
    state_->is_running = true;
    std::thread(Run, state_).detach();
  }
  return state_->answers;
}

void Resolver::Run(const std::shared_ptr<State>& state) {
  Answers answers(state->names.size());
  absl::Status all;
  std::vector<absl::Status> statuses(state->names.size());
  for (size_t i = 0; i < state->names.size(); ++i) {
    auto found = state->look_up(state->names[i]);
    statuses[i] = found.status();
    all.Update(found.status());
    if (found.ok()) {
      answers[i] =
          std::make_shared<const std::vector<std::string>>(*std::move(found));
    }
  }
  absl::MutexLock lock(&state->mutex);
  state->status = absl::OkStatus();
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] != nullptr) state->answers[i] = std::move(answers[i]);
    if (state->answers[i] == nullptr) state->status.Update(statuses[i]);
  }
  state->schedule.End(all.ok());
  state->is_running = false;
}

absl::Status Resolver::status() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->status;
}

bool Resolver::AwaitFor(absl::Duration timeout) {
  absl::MutexLock lock(&state_->mutex);
  return state_->mutex.AwaitWithTimeout(
      absl::Condition(
          +[](bool* is_running) { return !*is_running; }, &state_->is_running),
      timeout);
}

void Resolver::Fail() {
  absl::MutexLock lock(&state_->mutex);
  state_->schedule.Fail();
}

}  // namespace actserve
