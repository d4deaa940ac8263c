#include "server/state/registry.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/catalog/catalog.h"

namespace actserve {

namespace {

// Of everything that makes a registration what it is. Each part begins with its
// length, so that no two registrations have the same bytes.
Sha256Digest DigestOf(const Registry::Text& text, const Tenant* tenant) {
  std::string bytes =
      absl::StrCat(tenant == nullptr ? 0 : tenant->number(), " ", text.exact,
                   " ", text.text.size(), " ", text.text,
                   text.derivative.size(), " ", text.derivative);
  for (const auto& [name, value] : text.constants) {
    absl::StrAppend(&bytes, name.size(), " ", name,
                    std::bit_cast<uint64_t>(value), " ");
  }
  return Sha256(bytes);
}

}  // namespace

const GradientCheck& RegisteredActivation::gradient_check() const {
  absl::call_once(check_once_,
                  [this] { check_ = CheckGradient(*activation_); });
  return check_;
}

const GradientSets& RegisteredActivation::gradient_sets() const {
  absl::call_once(gradient_sets_once_,
                  [this] { gradient_sets_.emplace(*activation_); });
  return *gradient_sets_;
}

Registry::Registry(const Options& options)
    : options_(options),
      id_(absl::Uniform<uint64_t>(absl::BitGen())),
      registered_(options.max_registered, options.max_registered_bytes) {}

absl::StatusOr<std::unique_ptr<Registry>> Registry::Create(
    const Options& options) {
  auto registry = std::unique_ptr<Registry>(new Registry(options));
  for (const CatalogEntry& entry : Catalog()) {
    auto activation = Activation::Create(entry.text, {}, nullptr);
    if (!activation.ok()) {
      return absl::InternalError(
          absl::StrCat("catalog: ", std::string(entry.name), ": ",
                       activation.status().message()));
    }
    auto registered =
        std::make_shared<RegisteredActivation>(*std::move(activation), true);
    // Two names of one function share an id; either answers for it.
    registry->builtins_by_id_.emplace(registered->id(), registered);
    registry->builtins_.emplace(entry.name, std::move(registered));
  }
  return registry;
}

std::shared_ptr<const RegisteredActivation> Registry::Find(
    absl::string_view name, const Tenant* tenant) {
  if (auto it = builtins_.find(name); it != builtins_.end()) {
    return it->second;
  }
  if (auto it = builtins_by_id_.find(name); it != builtins_by_id_.end()) {
    return it->second;
  }
  absl::MutexLock lock(&mu_);
  auto* found = registered_.Find(KeyView{tenant, name});
  return found != nullptr ? found->activation : nullptr;
}

absl::StatusOr<Registry::Registration> Registry::Register(
    const Text& text, std::vector<Diagnostic>* diagnostics,
    const Tenant* tenant) {
  bool joined = false;
  Outcome outcome = registrations_.Do(
      DigestOf(text, tenant),
      [&] {
        Outcome result;
        result.registration = DoRegister(text, &result.diagnostics, tenant);
        return result;
      },
      &joined);
  if (diagnostics != nullptr) *diagnostics = std::move(outcome.diagnostics);
  if (joined && outcome.registration.ok()) {
    outcome.registration->created = false;
  }
  return std::move(outcome.registration);
}

absl::StatusOr<Registry::Registration> Registry::DoRegister(
    const Text& text, std::vector<Diagnostic>* diagnostics,
    const Tenant* tenant) {
  Activation::Options options;
  options.limits = options_.language;
  options.exact = text.exact;
  options.derivative = text.derivative;
  options.constants = text.constants;
  ACTSERVE_ASSIGN_OR_RETURN(
      auto created, Activation::Create(text.text, options, diagnostics));
  Registration registration;
  registration.activation = Find(created->id(), tenant);
  if (registration.activation == nullptr) {
    registration.activation =
        std::make_shared<RegisteredActivation>(std::move(created), false);
    registration.created = true;
    Put(registration.activation, tenant);
  }
  registration.activation->gradient_check();
  return registration;
}

void Registry::Put(std::shared_ptr<const RegisteredActivation> activation,
                   const Tenant* tenant) {
  if (options_.max_registered == 0) return;
  const int64_t charge = activation->size_bytes();
  // Destroyed after the lock is released.
  Registered::Entries dropped;
  absl::MutexLock lock(&mu_);
  Texts& texts = TextsOf(tenant);
  const int64_t position = texts.next_position++;
  texts.by_position.emplace(position, activation);
  const Key key = {tenant, activation->id()};
  dropped = registered_.Put(key, {position, std::move(activation)}, charge);
  ForgetPositions(dropped);
  if (tenant != nullptr) EnforceQuota(*tenant, dropped);
}

Registry::Texts& Registry::TextsOf(const Tenant* tenant) {
  Texts& texts = texts_[tenant];
  if (texts.next_position == 0) {
    texts.next_position = static_cast<int64_t>(builtins_.size());
  }
  return texts;
}

void Registry::EnforceQuota(const Tenant& tenant,
                            Registered::Entries& dropped) {
  const Texts& texts = TextsOf(&tenant);
  while (static_cast<int64_t>(texts.by_position.size()) >
         tenant.max_registered()) {
    const auto& entries = registered_.entries();
    const auto oldest = std::find_if(
        entries.rbegin(), entries.rend(),
        [&](const auto& entry) { return entry.first.tenant == &tenant; });
    Registered::Entries erased = registered_.Erase(Key(oldest->first));
    ForgetPositions(erased);
    dropped.splice(dropped.end(), erased);
  }
}

void Registry::ForgetPositions(const Registered::Entries& dropped) {
  for (const auto& [key, listed] : dropped) {
    TextsOf(key.tenant).by_position.erase(listed.position);
  }
}

std::vector<Registry::Listed> Registry::List(int64_t position, int max_count,
                                             const Tenant* tenant) const {
  std::vector<Listed> list;
  const auto is_full = [&] {
    return list.size() >= static_cast<size_t>(max_count);
  };
  int64_t at = 0;
  for (const auto& [name, builtin] : builtins_) {
    if (is_full()) return list;
    if (at >= position) list.push_back({at, builtin});
    ++at;
  }
  absl::MutexLock lock(&mu_);
  const auto texts = texts_.find(tenant);
  if (texts == texts_.end()) return list;
  const auto& by_position = texts->second.by_position;
  for (auto it = by_position.lower_bound(position);
       it != by_position.end() && !is_full(); ++it) {
    list.push_back({it->first, it->second});
  }
  return list;
}

int64_t Registry::end(const Tenant* tenant) const {
  absl::MutexLock lock(&mu_);
  const auto texts = texts_.find(tenant);
  return texts != texts_.end() ? texts->second.next_position
                               : static_cast<int64_t>(builtins_.size());
}

int64_t Registry::num_registered() const {
  absl::MutexLock lock(&mu_);
  int64_t count = 0;
  for (const auto& [tenant, texts] : texts_) {
    count += static_cast<int64_t>(texts.by_position.size());
  }
  return count;
}

int64_t Registry::registered_bytes() const {
  absl::MutexLock lock(&mu_);
  return registered_.charge();
}

}  // namespace actserve
