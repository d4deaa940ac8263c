#ifndef ACTSERVE_CLIENT_CPP_SHARED_MEMORY_RING_CLIENT_H_
#define ACTSERVE_CLIENT_CPP_SHARED_MEMORY_RING_CLIENT_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actserve/v1/shared_memory.pb.h"
#include "client/cpp/shared_memory/device_allocations.h"
#include "client/cpp/shared_memory/shared_pool.h"
#include "proto/shared_memory/control.h"
#include "proto/shared_memory/futex.h"
#include "proto/shared_memory/ring.h"

namespace actserve {

// When a call ends whatever the server does.
struct CallBounds {
  absl::Time deadline;
  // True once nobody wants the answer; null: never.
  std::function<bool()> is_cancelled = nullptr;
};

// A client's end of a ring (proto/shared_memory/ring.h). Thread-safe; each call
// blocks its own thread.
class RingClient : public std::enable_shared_from_this<RingClient> {
 public:
  // Connects to a control socket. Waits at most a second for the answer, and
  // not beyond `deadline`.
  //   Unavailable  nobody listens there, or answers
  // and what the server answers: see v1::ControlReply.
  static absl::StatusOr<std::shared_ptr<RingClient>> Connect(
      const std::string& path, absl::string_view authorization,
      absl::Time deadline);
  ~RingClient();

  // False once the server has closed the ring, or is gone.
  bool is_open() const;

  // What the server calls a region; offers it if that was not done before. May
  // take as long as Connect().
  //   ResourceExhausted  the server takes no more regions
  absl::StatusOr<uint32_t> NumberOf(const SharedPool::RegionPtr& region);
  // Has the server unmap regions that are no more. `num_gone`: of their pool,
  // so that nothing is asked while it stays the same.
  void ForgetRegionsGone(uint64_t num_gone);

  // The same for memory of a GPU.
  //   InvalidArgument, FailedPrecondition  the server cannot use it
  absl::StatusOr<uint32_t> NumberOf(
      const DeviceAllocations::Allocation& allocation);
  // Has the server close it, if it was offered.
  void Forget(const DeviceAllocations::Allocation& allocation);

  // A slot of the ring for one call after the other. Move-only.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : ring_(std::move(other.ring_)),
          index_(other.index_),
          blocks_(std::move(other.blocks_)) {}
    ~Turn();

    shared_memory::Slot& slot() { return ring_->ring_->slots[index_]; }
    // Memory that the server may write to until it has answered.
    std::vector<SharedPool::Block>& blocks() { return blocks_; }

    // Sends what is in slot().request, and waits for slot().reply.
    // `may_abandon`: nobody but blocks() is hurt if the server answers after
    // this has returned.
    //   DeadlineExceeded  only with `may_abandon`: a second after `deadline`
    //   Unavailable       the server is gone
    absl::Status Call(const CallBounds& bounds, bool may_abandon);

   private:
    friend class RingClient;
    Turn(std::shared_ptr<RingClient> ring, uint32_t index)
        : ring_(std::move(ring)), index_(index) {}
    bool IsAnswered();

    std::shared_ptr<RingClient> ring_;
    uint32_t index_;
    std::vector<SharedPool::Block> blocks_;
    bool is_abandoned_ = false;
  };

  // Waits for a slot; nullopt: there is none until `deadline`.
  std::optional<Turn> Take(absl::Time deadline);

 private:
  struct Abandoned {
    uint32_t index;
    std::vector<SharedPool::Block> blocks;
  };

  RingClient(shared_memory::Descriptor socket, shared_memory::Ring* ring);
  // Sends a request over the control socket, with a descriptor unless that is
  // -1, and returns the answer, and a descriptor that came with it. Waits at
  // most a second.
  static absl::StatusOr<std::pair<v1::ControlReply, shared_memory::Descriptor>>
  Ask(int socket, const v1::ControlRequest& request, int fd,
      absl::Time deadline = absl::InfiniteFuture());
  absl::StatusOr<uint32_t> Offer(const v1::ControlRequest& request, int fd)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_mu_);
  void Forget(uint32_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_mu_);
  void Publish(uint32_t index);
  void TakeBackAbandoned() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const shared_memory::Descriptor socket_;
  shared_memory::Ring* const ring_;
  // Threads that spin now: more than one only steal from each other.
  std::atomic<int> num_spinning_ = 0;
  shared_memory::Spin spin_;
  mutable std::atomic<bool> is_gone_ = false;

  absl::Mutex mu_;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  std::vector<Abandoned> abandoned_ ABSL_GUARDED_BY(mu_);
  absl::Mutex publish_mu_;

  // Of which the server was told.
  std::atomic<uint64_t> num_forgotten_ = 0;
  absl::Mutex control_mu_;
  struct Offered {
    std::weak_ptr<SharedPool::Region> region;
    uint32_t number;
  };
  absl::flat_hash_map<const SharedPool::Region*, Offered> offered_
      ABSL_GUARDED_BY(control_mu_);
  // By handle.
  absl::flat_hash_map<std::string, uint32_t> offered_allocations_
      ABSL_GUARDED_BY(control_mu_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_SHARED_MEMORY_RING_CLIENT_H_
