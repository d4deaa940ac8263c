#ifndef ACTSERVE_SERVER_STATE_REGISTRY_H_
#define ACTSERVE_SERVER_STATE_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/gradient_check.h"
#include "kernels/activation/gradient_sets.h"
#include "kernels/base/lru_cache.h"
#include "kernels/base/sha256.h"
#include "kernels/base/single_flight.h"
#include "server/identity/tenant.h"

namespace actserve {

// An activation that this server can serve. Its description is made on request
// and not kept: it can be a hundred times as long as the text. Thread-safe.
class RegisteredActivation {
 public:
  RegisteredActivation(std::shared_ptr<const Activation> activation,
                       bool builtin)
      : activation_(std::move(activation)),
        builtin_(builtin),
        size_bytes_(static_cast<int64_t>(sizeof(*this)) +
                    activation_->size_bytes()) {}

  const Activation& activation() const { return *activation_; }
  const std::string& id() const { return activation_->id(); }
  bool builtin() const { return builtin_; }
  // True if a request may call it `name`.
  bool IsCalled(absl::string_view name) const {
    return name == id() || (builtin_ && name == activation_->name());
  }
  // About the memory that it keeps.
  int64_t size_bytes() const { return size_bytes_; }
  // The first call checks and takes milliseconds; do not call it on a gRPC
  // thread.
  const GradientCheck& gradient_check() const;
  // The first call takes about a millisecond.
  const GradientSets& gradient_sets() const;

 private:
  const std::shared_ptr<const Activation> activation_;
  const bool builtin_;
  const int64_t size_bytes_;
  mutable absl::once_flag check_once_;
  mutable GradientCheck check_;
  mutable absl::once_flag gradient_sets_once_;
  mutable std::optional<GradientSets> gradient_sets_;
};

// The activations that this server knows: the built-ins, always, and the
// most recently used texts of clients, within `max_registered` and
// `max_registered_bytes`. A client whose activation was forgotten gets
// ACTIVATION_UNKNOWN and registers it again. So dropping an old text costs a
// round trip, while refusing a new one would cost a training run.
//
// A text belongs to the tenant that registered it, and others do not see it; a
// null tenant is one of them. Ids are the same for all, so that compiled
// programs are shared. A tenant beyond its quota loses its own texts.
//
// Thread-safe.
class Registry {
 public:
  struct Options {
    LanguageLimits language;
    int max_registered = 1024;
    // The newest activation is kept even if it alone has more.
    int64_t max_registered_bytes = int64_t{256} << 20;
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
  };
  // An activation and its place in the list of all.
  struct Listed {
    int64_t position = 0;
    std::shared_ptr<const RegisteredActivation> activation;
  };

  // Parses the catalog.
  //   Internal  a text of the catalog has an error
  static absl::StatusOr<std::unique_ptr<Registry>> Create(
      const Options& options);

  // Finds an activation by id, or a built-in by name; nullptr if it is not
  // known. Marks it as recently used.
  std::shared_ptr<const RegisteredActivation> Find(
      absl::string_view name, const Tenant* tenant = nullptr);

  // Idempotent. Takes milliseconds; do not call it on a gRPC thread. Concurrent
  // calls with the same text do the work once. `diagnostics` gets the errors,
  // warnings and notes of the text; it may be null.
  //   InvalidArgument  the text has errors
  absl::StatusOr<Registration> Register(const Text& text,
                                        std::vector<Diagnostic>* diagnostics,
                                        const Tenant* tenant = nullptr);

  // Returns up to `max_count` activations of a tenant, those from `position`
  // on: the built-ins by name, then the registered ones, the oldest
  // registration first. The list begins at 0. An activation stays where it is
  // until it is forgotten; new ones come at the end.
  std::vector<Listed> List(int64_t position, int max_count,
                           const Tenant* tenant = nullptr) const;
  // The position of what a tenant registers next.
  int64_t end(const Tenant* tenant = nullptr) const;

  // A random number, so that positions of two registries are not mixed up.
  uint64_t id() const { return id_; }

  // The registered activations, without the built-ins, and their memory.
  int64_t num_registered() const;
  int64_t registered_bytes() const;

 private:
  // The result of one Register(), for all callers that join it.
  struct Outcome {
    absl::StatusOr<Registration> registration = absl::UnknownError("");
    std::vector<Diagnostic> diagnostics;
  };

  // Who registered what.
  struct Key {
    const Tenant* tenant = nullptr;
    std::string id;
  };
  struct KeyView {
    const Tenant* tenant = nullptr;
    absl::string_view id;
  };
  struct KeyHash {
    using is_transparent = void;
    template <typename K>
    size_t operator()(const K& key) const {
      return absl::HashOf(key.tenant, absl::string_view(key.id));
    }
  };
  struct KeyEqual {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.tenant == b.tenant && a.id == b.id;
    }
  };
  using Registered = LruCache<Key, Listed, KeyHash, KeyEqual>;
  // The texts of one tenant.
  struct Texts {
    absl::btree_map<int64_t, std::shared_ptr<const RegisteredActivation>>
        by_position;
    int64_t next_position = 0;
  };

  explicit Registry(const Options& options);
  void Put(std::shared_ptr<const RegisteredActivation> activation,
           const Tenant* tenant);
  absl::StatusOr<Registration> DoRegister(const Text& text,
                                          std::vector<Diagnostic>* diagnostics,
                                          const Tenant* tenant);
  Texts& TextsOf(const Tenant* tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Drops the tenant's least recently used texts beyond its quota.
  void EnforceQuota(const Tenant& tenant, Registered::Entries& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetPositions(const Registered::Entries& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  const uint64_t id_;
  // By name; constant after Create().
  std::map<std::string, std::shared_ptr<const RegisteredActivation>,
           std::less<>>
      builtins_;
  absl::flat_hash_map<std::string, std::shared_ptr<const RegisteredActivation>>
      builtins_by_id_;
  mutable absl::Mutex mu_;
  Registered registered_ ABSL_GUARDED_BY(mu_);
  // The same activations by their position.
  absl::flat_hash_map<const Tenant*, Texts> texts_ ABSL_GUARDED_BY(mu_);
  // By a digest of the tenant and the text, since keys are copied and compared
  // under a lock.
  SingleFlight<Sha256Digest, Outcome> registrations_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_REGISTRY_H_
