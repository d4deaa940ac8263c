#include "server/state/registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/catalog/catalog.h"

namespace actserve {

const ActivationDescription& RegisteredActivation::description() const {
  absl::call_once(description_once_,
                  [this] { description_ = Describe(*activation_); });
  return description_;
}

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
    absl::string_view name) {
  if (auto it = builtins_.find(name); it != builtins_.end()) {
    return it->second;
  }
  if (auto it = builtins_by_id_.find(name); it != builtins_by_id_.end()) {
    return it->second;
  }
  absl::MutexLock lock(&mu_);
  auto* found = registered_.Find(name);
  return found != nullptr ? *found : nullptr;
}

absl::StatusOr<Registry::Registration> Registry::Register(
    const Text& text, std::vector<Diagnostic>* diagnostics) {
  bool joined = false;
  Outcome outcome = registrations_.Do(
      text,
      [&] {
        Outcome result;
        result.registration = DoRegister(text, &result.diagnostics);
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
    const Text& text, std::vector<Diagnostic>* diagnostics) {
  Activation::Options options;
  options.limits = options_.language;
  options.exact = text.exact;
  options.derivative = text.derivative;
  options.constants = text.constants;
  ACTSERVE_ASSIGN_OR_RETURN(
      auto created, Activation::Create(text.text, options, diagnostics));
  Registration registration;
  registration.activation = Find(created->id());
  if (registration.activation == nullptr) {
    registration.activation =
        std::make_shared<RegisteredActivation>(std::move(created), false);
    registration.created = true;
    absl::MutexLock lock(&mu_);
    registered_.Put(registration.activation->id(), registration.activation);
  }
  registration.activation->description();
  return registration;
}

std::vector<std::shared_ptr<const RegisteredActivation>> Registry::List()
    const {
  std::vector<std::shared_ptr<const RegisteredActivation>> list;
  absl::MutexLock lock(&mu_);
  list.reserve(builtins_.size() + registered_.entries().size());
  for (const auto& [name, builtin] : builtins_) list.push_back(builtin);
  for (const auto& [id, registered] : registered_.entries()) {
    list.push_back(registered);
  }
  return list;
}

}  // namespace actserve
