#ifndef ACTSERVE_SERVER_STATE_PROGRAMS_H_
#define ACTSERVE_SERVER_STATE_PROGRAMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernels/base/lru_cache.h"
#include "kernels/base/stop_token.h"
#include "kernels/device/device.h"
#include "server/metrics/bounds.h"
#include "server/metrics/striped_counter.h"
#include "server/metrics/striped_histogram.h"
#include "server/scheduling/caller_id.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/time_budget.h"
#include "server/scheduling/worker_pool.h"
#include "server/state/registry.h"

namespace actserve {

// Names one program of an activation.
struct ProgramKey {
  enum class Direction : uint8_t {
    kForward,
    kBackward,
    kSecondOrder,
    kTangent
  };
  std::string activation_id;
  Direction direction = Direction::kForward;
  DType dtype = DType::kFloat32;
  // Bit i stands for the i-th of the activation's inputs and parameters, in
  // that order: partials of a forward, wrt of a backward and of the second
  // order, what has a tangent. A set, so that the order of a request does not
  // multiply the programs; of a forward and a backward one of GradientSets, so
  // that its choice does not either. The other directions have a program for
  // each choice, because what is not named would add 0 times its gradient,
  // which may be NaN; what a caller may compile bounds them.
  uint64_t variables = 0;
  // Second order: the gradients that have a cotangent, as such a set.
  uint64_t cotangents = 0;
  // What is given as a tensor with fewer elements than the result, as such a
  // set.
  uint64_t broadcasts = 0;
  // Second order: also the gradient with respect to the upstream gradient.
  bool wrt_grad_output = false;

  bool operator==(const ProgramKey&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const ProgramKey& key) {
    return H::combine(std::move(h), key.activation_id, key.direction, key.dtype,
                      key.variables, key.cotangents, key.broadcasts,
                      key.wrt_grad_output);
  }
};

// The compiled programs in memory. Compiles on the threads of a pool, each
// program once, however many requests wait for it.
//
// Compilations are shared fairly. Peers take turns, by time if the pool asks
// UsedTime(), and a program that several callers want is compiled at the first
// of their turns. A peer may hold back
// neither the others' requests (see Options::max_waiting) nor, for long, the
// threads (see Options::compile_time_per_minute). A program that nobody waits
// for any more is not compiled, and its compilation is stopped at its next
// step.
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
    // Limit on the requests that wait for a compilation. Beyond it one of the
    // peer with most of them is refused.
    int max_waiting = 1024;
    // What one peer may use of the compile threads (see TimeBudget). A program
    // is charged to the peer at whose turn it was compiled.
    absl::Duration compile_time_per_minute = absl::Seconds(30);
  };

  // A request that waits for a program.
  struct Waiter {
    CallerId caller;
    absl::Time deadline = absl::InfiniteFuture();
    // Returns true once nobody wants the answer any more. Null: never. Called
    // from any thread, and never after `done`; must be quick.
    std::function<bool()> is_cancelled;
    Done done;
  };

  // `device` and `clock` must outlive this object; `pool` must exist from the
  // first Get() on and end before this object does, for its tasks refer to it.
  // The pool may be shared.
  Programs(const Options& options, Device* device, const Clock* clock,
           WorkerPool* pool);

  // Returns the program if it is ready, otherwise nullptr. Does not block.
  // Marks the program as recently used.
  std::shared_ptr<const Program> Find(const ProgramKey& key);

  // Calls `waiter.done` once, from any thread and perhaps before it returns.
  // Outputs are in the order of the activation's inputs and parameters, that of
  // wrt_grad_output is the last; of a tangent they are y and it.
  //   InvalidArgument    the program would be over the weight limit
  //   ResourceExhausted  a queue is full, or the peer has used up its time; the
  //                      status has a RetryAfter()
  //   Cancelled, DeadlineExceeded
  //                      the waiter gave up. Told when it is noticed: before
  //                      each step of the compilation, at its end, and by
  //                      Sweep()
  //   Unavailable        the server is shutting down, or the device is lost
  //   Internal           the compiler failed
  void Get(std::shared_ptr<const RegisteredActivation> activation,
           ProgramKey key, Waiter waiter);

  // Answers the waiters that gave up. Call it now and then.
  void Sweep();

  // Answers every waiter, and every one to come, with `why`, which is not OK.
  // Compilations that run stop at their next step.
  void Stop(const absl::Status& why);

  // What `peer` has used of the compile threads lately, beyond its share: for
  // WorkerPool::Options::used_time.
  absl::Duration UsedTime(uint64_t peer) const;

  int num_waiting() const;
  // Programs in memory.
  int64_t count() const;
  // Calls of Find() that found one.
  int64_t num_found() const { return num_found_.Sum(); }
  // Time to make a program that was not in memory, in nanoseconds, by
  // kCompileBounds; loading it from the disk counts as well.
  StripedHistogram::Snapshot compile_times() const {
    return compile_times_.Read();
  }

 private:
  // A program that is not ready, while somebody waits for it or a thread
  // compiles it.
  struct Flight {
    std::shared_ptr<const RegisteredActivation> activation;
    // Until it runs, each caller among them has a task in the pool.
    std::vector<Waiter> waiters;
    bool running = false;
  };
  using Flights = absl::flat_hash_map<ProgramKey, Flight>;
  // What to tell whom, once mu_ is released: a waiter may end there, and others
  // may call this object.
  class Answers {
   public:
    ~Answers();
    void Add(Done done, Result result) {
      answers_.emplace_back(std::move(done), std::move(result));
    }

   private:
    std::vector<std::pair<Done, Result>> answers_;
  };

  // Puts the program into the queue, in the lane of `caller`.
  void Enqueue(const ProgramKey& key, const CallerId& caller);
  // The task: `turn` is that of WorkerPool::Task.
  void OnTurn(const ProgramKey& key, const CallerId& caller,
              const absl::Status& turn);
  // Returns the activation if this thread should compile the program now,
  // otherwise nullptr.
  std::shared_ptr<const RegisteredActivation> Begin(const ProgramKey& key,
                                                    const CallerId& caller,
                                                    const absl::Status& turn);
  Result Compile(const Activation& activation, const ProgramKey& key,
                 const StopToken& stop);
  // OK while somebody waits for a program that is compiled.
  absl::Status CheckWanted(const ProgramKey& key);
  // `stopped`: the result says only that nobody waited for it.
  void Land(const ProgramKey& key, const Result& result, bool stopped);

  // OK if a request of `caller` may wait for the program.
  absl::Status Admit(const ProgramKey& key, const CallerId& caller,
                     Answers& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Refuses a waiter of the largest peer if there is no room for another.
  // Returns ResourceExhausted if it is one of `caller` that should go.
  absl::Status MakeRoom(const CallerId& caller, Answers& answers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the peer of `caller` may use of the compile threads.
  absl::Duration TimePerMinute(const CallerId& caller) const;
  absl::Status CheckBudget(const CallerId& caller)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Join(Flight& flight, Waiter waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes the waiters for which `answer` returns one, and gives it to them.
  void Answer(Flight& flight,
              absl::FunctionRef<std::optional<Result>(const Waiter&)> answer,
              Answers& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The waiters that gave up.
  void DropUnwanted(Flight& flight, Answers& answers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropAllUnwanted(Answers& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Flights for which nobody waits and which do not run.
  void ForgetEmpty() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  Device* const device_;
  const Clock* const clock_;
  WorkerPool* const pool_;
  StripedCounter num_found_;
  StripedHistogram compile_times_{kCompileBounds};
  mutable absl::Mutex mu_;
  LruCache<ProgramKey, std::shared_ptr<const Program>> ready_
      ABSL_GUARDED_BY(mu_);
  Flights flights_ ABSL_GUARDED_BY(mu_);
  int num_waiting_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint64_t, int> waiting_by_peer_ ABSL_GUARDED_BY(mu_);
  TimeBudget budget_ ABSL_GUARDED_BY(mu_);
  // Not OK after Stop().
  absl::Status stopped_ ABSL_GUARDED_BY(mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_PROGRAMS_H_
