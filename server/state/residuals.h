#ifndef ACTSERVE_SERVER_STATE_RESIDUALS_H_
#define ACTSERVE_SERVER_STATE_RESIDUALS_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/device/device.h"
#include "kernels/graph/broadcast.h"
#include "server/identity/tenant.h"
#include "server/scheduling/clock.h"
#include "server/state/memory_budget.h"
#include "server/state/split_inputs.h"
#include "server/state/tensor_type.h"

namespace actserve {

class RegisteredActivation;

// One list of fragments, in order, per tensor input.
using TensorInputs = std::vector<std::vector<Fragment>>;

// A tensor of a request with fewer elements than its result.
struct BroadcastTensor {
  // The input or parameter that it is for: an index into the activation's
  // inputs and then parameters.
  int variable;
  TensorType type;
  Broadcast shape;
};

// Holds what a Backward needs of its Forward. Immutable once stored.
struct Residual {
  // Whose it is; null: of all.
  const Tenant* tenant = nullptr;
  std::shared_ptr<const RegisteredActivation> activation;
  TensorType type;
  // If one tensor holds the inputs, it is the first of `inputs`; `type` is that
  // of its parts.
  std::optional<SplitInputs> split;
  // Along which rows run; nullopt for an activation that reads none.
  std::optional<int> axis;
  // The place of the first element in the tensor that was cut into requests.
  int64_t element_offset = 0;
  // The tensor inputs, if the device keeps them. Then this process holds no
  // copy, and the residual counts against the device's budget.
  std::shared_ptr<const ResidentTensors> resident;
  // Otherwise the tensor inputs, in memory that `owner` keeps alive: the
  // message as it was received, or a copy of the inputs.
  TensorInputs inputs;
  std::shared_ptr<const void> owner;
  // Of a copy; the owner of a message has its own.
  MemoryBudget::Charge charge;
  // What the inputs take, with the bookkeeping for their fragments.
  size_t size_bytes = 0;
  // One per parameter of the activation.
  std::vector<double> parameters;
  // The last of `inputs`.
  std::vector<BroadcastTensor> broadcasts;
};

// Keeps residuals by handle, as long as their lease and the budget allow.
//
// A residual that was used is *spent*: it stays for `spent_grace`, so that a
// retry after a lost response still finds it, and is evicted first to make
// room. An unexpired residual that was not used is never evicted: a training
// step that needs more residuals than fit would otherwise lose each one just
// before its use. The new residual is refused instead, and its client sends the
// inputs again.
//
// A residual is found and released only by its tenant; for another one there is
// none. A tenant's own quota counts like the budget of all.
//
// Thread-safe. Get() hands out shared ownership, so what a running Backward
// reads stays valid whatever happens to the handle.
class Residuals {
 public:
  struct Options {
    int64_t max_bytes = int64_t{1} << 30;
    // Limit on those that this process holds, not the device.
    int64_t max_host_bytes = std::numeric_limits<int64_t>::max();
    // Each also costs bookkeeping, even of an empty tensor.
    int64_t max_count = 1 << 16;
    absl::Duration spent_grace = absl::Seconds(10);
  };
  using Handle = std::string;  // kHandleBytes random bytes
  static constexpr size_t kHandleBytes = 16;

  Residuals(const Options& options, const Clock* clock);

  // Returns the handle, or "" if there is no room.
  Handle Put(std::shared_ptr<const Residual> residual, absl::Duration lease);

  // Returns the residual and marks it spent; nullptr if it expired, was
  // released, or never was there.
  std::shared_ptr<const Residual> Get(absl::string_view handle,
                                      const Tenant* tenant = nullptr);

  // Returns true if the residual was held.
  bool Release(absl::string_view handle, const Tenant* tenant = nullptr);

  // Drops expired residuals. Get() never returns them, so this only frees
  // memory; call it about once a second.
  void Sweep();

  int64_t bytes() const;
  int64_t count() const;
  // Of bytes(), what the device holds.
  int64_t resident_bytes() const;

  // Residuals that Put() found no room for, and those that went unused when
  // their lease ended. Their clients send the inputs again.
  struct Losses {
    int64_t refused = 0;
    int64_t expired = 0;
  };
  Losses losses() const;

 private:
  struct Entry {
    std::shared_ptr<const Residual> residual;
    absl::Time expires;
    bool spent = false;
  };
  using Entries = absl::flat_hash_map<Handle, Entry>;
  using ByExpiry = absl::btree_set<std::pair<absl::Time, Handle>>;

  // What a tenant holds.
  struct Usage {
    int64_t bytes = 0;
    ByExpiry spent;
  };

  // Returns what one entry counts against max_bytes: its tensors and a little
  // more.
  static int64_t Charge(const Residual& residual);
  bool MakeRoom(const Residual& residual, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MakeRoomInQuota(const Tenant& tenant, int64_t charge, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropExpired(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop(Entries::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  const Clock* const clock_;
  mutable absl::Mutex mu_;
  Entries entries_ ABSL_GUARDED_BY(mu_);
  // Every entry is in one of the two.
  ByExpiry live_ ABSL_GUARDED_BY(mu_);
  ByExpiry spent_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<const Tenant*, Usage> usage_ ABSL_GUARDED_BY(mu_);
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // Of these, what this process holds.
  int64_t host_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  Losses losses_ ABSL_GUARDED_BY(mu_);
  // Memory is freed outside the lock: dropping 64 MiB takes a while.
  std::vector<std::shared_ptr<const Residual>> dropped_ ABSL_GUARDED_BY(mu_);
};

// What a fragment costs beside its bytes: a slice of gRPC's, and ours.
inline constexpr size_t kFragmentBytes = 128;

// Returns whether a residual may keep tensors where they are: if they are large
// (kMinSharedBytes in all) and their fragments too (kMinFragmentBytes each, on
// average). A fragment of a few bytes can pin the 8 to 64 KiB block that it was
// received in.
inline constexpr size_t kMinSharedBytes = size_t{64} << 10;
inline constexpr size_t kMinFragmentBytes = size_t{4} << 10;
bool MayStay(const TensorInputs& inputs);

// Moves the inputs of a request into a residual: in the memory that `owner`
// keeps alive or, if that is null, as a copy, which is one fragment an input.
void HoldInputs(TensorInputs inputs, std::shared_ptr<const void> owner,
                Residual* residual);

// The bytes of the tensors.
size_t SizeBytes(const TensorInputs& inputs);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_RESIDUALS_H_
