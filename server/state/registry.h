#ifndef ACTSERVE_SERVER_STATE_REGISTRY_H_
#define ACTSERVE_SERVER_STATE_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/description.h"
#include "kernels/base/lru_cache.h"
#include "kernels/base/single_flight.h"

namespace actserve {

// An activation that this server can serve. Thread-safe.
class RegisteredActivation {
 public:
  RegisteredActivation(std::shared_ptr<const Activation> activation,
                       bool builtin)
      : activation_(std::move(activation)), builtin_(builtin) {}

  const Activation& activation() const { return *activation_; }
  const std::string& id() const { return activation_->id(); }
  bool builtin() const { return builtin_; }
  // True if a request may call it `name`.
  bool IsCalled(absl::string_view name) const {
    return name == id() || (builtin_ && name == activation_->name());
  }
  // The first call makes the description and takes milliseconds; do not call it
  // on a gRPC thread.
  const ActivationDescription& description() const;

 private:
  const std::shared_ptr<const Activation> activation_;
  const bool builtin_;
  mutable absl::once_flag description_once_;
  mutable ActivationDescription description_;
};

// The activations that this server knows: the built-ins, always, and the
// `max_registered` most recently used texts of clients. A client whose
// activation was forgotten gets ACTIVATION_UNKNOWN and registers it again. So
// dropping an old text costs a round trip, while refusing a new one would cost
// a training run.
//
// Thread-safe.
class Registry {
 public:
  struct Options {
    LanguageLimits language;
    int max_registered = 1024;
  };
  struct Registration {
    std::shared_ptr<const RegisteredActivation> activation;
    bool created = false;
  };
  struct Text {
    std::string text;
    std::string derivative;
    std::map<std::string, double> constants;
    bool exact = false;
    bool operator==(const Text&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Text& text) {
      return H::combine(std::move(h), text.text, text.derivative, text.exact,
                        text.constants.size());
    }
  };

  // Parses the catalog.
  //   Internal  a text of the catalog has an error
  static absl::StatusOr<std::unique_ptr<Registry>> Create(
      const Options& options);

  // Finds an activation by id, or a built-in by name; nullptr if it is not
  // known. Marks it as recently used.
  std::shared_ptr<const RegisteredActivation> Find(absl::string_view name);

  // Idempotent. Takes milliseconds; do not call it on a gRPC thread. Concurrent
  // calls with the same text do the work once. `diagnostics` gets the errors,
  // warnings and notes of the text; it may be null.
  //   InvalidArgument  the text has errors
  absl::StatusOr<Registration> Register(const Text& text,
                                        std::vector<Diagnostic>* diagnostics);

  // Returns the built-ins by name, then the registered ones, the most recently
  // used first.
  std::vector<std::shared_ptr<const RegisteredActivation>> List() const;

 private:
  // The result of one Register(), for all callers that join it.
  struct Outcome {
    absl::StatusOr<Registration> registration = absl::UnknownError("");
    std::vector<Diagnostic> diagnostics;
  };

  explicit Registry(const Options& options)
      : options_(options), registered_(options.max_registered) {}
  absl::StatusOr<Registration> DoRegister(const Text& text,
                                          std::vector<Diagnostic>* diagnostics);

  const Options options_;
  // By name; constant after Create().
  std::map<std::string, std::shared_ptr<const RegisteredActivation>,
           std::less<>>
      builtins_;
  absl::flat_hash_map<std::string, std::shared_ptr<const RegisteredActivation>>
      builtins_by_id_;
  mutable absl::Mutex mu_;
  LruCache<std::string, std::shared_ptr<const RegisteredActivation>> registered_
      ABSL_GUARDED_BY(mu_);
  SingleFlight<Text, Outcome> registrations_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_REGISTRY_H_
