#ifndef ACTSERVE_SERVER_STATE_PROGRAMS_H_
#define ACTSERVE_SERVER_STATE_PROGRAMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/device.h"
#include "server/scheduling/worker_pool.h"
#include "server/state/registry.h"

namespace actserve {

// Names one program of an activation.
struct ProgramKey {
  enum class Direction : uint8_t { kForward, kBackward };
  std::string activation_id;
  Direction direction = Direction::kForward;
  DType dtype = DType::kFloat32;
  // Bit i stands for the i-th of the activation's inputs and parameters, in
  // that order: partials of a forward, wrt of a backward. A set, so that the
  // order of a request does not multiply the programs.
  uint64_t variables = 0;

  bool operator==(const ProgramKey&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const ProgramKey& key) {
    return H::combine(std::move(h), key.activation_id, key.direction, key.dtype,
                      key.variables);
  }
};

// The compiled programs in memory. Compiles on the threads of a pool, each
// program once, however many requests wait for it.
//
// Thread-safe.
class Programs {
 public:
  using Result = absl::StatusOr<std::shared_ptr<const Program>>;
  using Done = std::function<void(const Result&)>;
  struct Options {
    // Limit on the programs kept. A dropped one is compiled again, or found in
    // the device's own cache.
    int max_programs = 4096;
    // Limit on the requests that wait for a compilation.
    int max_waiting = 1024;
  };

  // `device` must outlive this object; `pool` must exist from the first Get()
  // on and end before this object does, for its tasks refer to it. The pool
  // may be shared.
  Programs(const Options& options, Device* device, WorkerPool* pool);

  // Returns the program if it is ready, otherwise nullptr. Does not block.
  // Marks the program as recently used.
  std::shared_ptr<const Program> Find(const ProgramKey& key);

  // Calls `done` once, from a thread of the pool or before it returns.
  // Outputs are in the order of the activation's inputs and parameters.
  //   InvalidArgument    the program would be over the weight limit
  //   ResourceExhausted  a queue is full
  //   Internal           the compiler failed
  void Get(const std::shared_ptr<const RegisteredActivation>& activation,
           const ProgramKey& key, Done done);

 private:
  Result Compile(const Activation& activation, const ProgramKey& key);
  void Land(const ProgramKey& key, const Result& result);

  const Options options_;
  Device* const device_;
  WorkerPool* const pool_;
  absl::Mutex mu_;
  LruCache<ProgramKey, std::shared_ptr<const Program>> ready_
      ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<ProgramKey, std::vector<Done>> waiting_
      ABSL_GUARDED_BY(mu_);
  int num_waiting_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_PROGRAMS_H_
