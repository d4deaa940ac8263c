#ifndef ACTSERVE_SERVER_SHARED_MEMORY_SESSION_H_
#define ACTSERVE_SERVER_SHARED_MEMORY_SESSION_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "proto/shared_memory/control.h"
#include "proto/shared_memory/ring.h"
#include "server/evaluation/call_counter.h"
#include "server/evaluation/serving_parts.h"
#include "server/identity/authenticator.h"
#include "server/message/response.h"
#include "server/metrics/call_metrics.h"
#include "server/shared_memory/region.h"
#include "server/tracing/call_observer.h"

namespace actserve {

// What the calls of all sessions are served with. It outlives them.
struct SessionServices {
  const ServingParts& parts;
  CallCounter& calls;
  // Null: nobody counts.
  CallMetrics* metrics;
  CallObserver& observer;
  // Decides who may call; null: everyone.
  const Authenticator* authenticator;
  // Counts device memory; null: none is taken.
  RegionBudget* device_budget;
};

// One client of the ring (proto/shared_memory/ring.h): its ring, its regions,
// and a thread that takes its calls and computes the small ones.
//
// What a call needs of the session it keeps alive, so a session may end before
// its calls.
class Session : public std::enable_shared_from_this<Session> {
 public:
  static constexpr size_t kMaxRegions = 64;
  static constexpr size_t kMaxDeviceRegions = 256;

  // Starts a session of user `uid`, who gave `authorization`. `on_broken` is
  // called at most once, on the session's thread, when the client has broken
  // the rules of the ring; no call is taken after that. The services and
  // `budget` must outlive the session's last reference.
  //   ResourceExhausted  the system has no memory or thread for it
  static absl::StatusOr<std::shared_ptr<Session>> Start(
      const SessionServices& services, RegionBudget* budget, uid_t uid,
      std::string authorization, std::function<void()> on_broken);
  ~Session();

  // The memory of the ring, for the client to map.
  int ring_fd() const { return ring_fd_.get(); }

  // Maps what `fd` is; returns its number, which is that of an earlier offer of
  // the same memory.
  //   ResourceExhausted  more than kMaxRegions
  // and the errors of Region::Map().
  absl::StatusOr<uint32_t> AddRegion(const shared_memory::Descriptor& fd);
  // The same for an allocation on the device; `handle` as of
  // Device::OpenMemory().
  //   FailedPrecondition  the server takes no device memory
  //   ResourceExhausted   more than kMaxDeviceRegions
  // and the errors of Device::OpenMemory() and Region::OfDevice().
  absl::StatusOr<uint32_t> AddDeviceRegion(absl::string_view uuid,
                                           absl::string_view handle);
  // No effect if there is no such region.
  void ForgetRegion(uint32_t number);
  // Null if there is none.
  std::shared_ptr<const Region> FindRegion(uint32_t number);

  // Answers further calls with UNAVAILABLE.
  void Refuse();
  // Takes no further calls; those that run are cancelled. Waits for the thread.
  void Close();
  bool is_closed() const { return is_closed_.load(std::memory_order_relaxed); }

  // For the session's calls.
  const SessionServices& services() const { return services_; }
  shared_memory::Slot& slot(uint32_t index) { return ring_->slots[index]; }
  // The caller of a call that needs `role`; costs from its tenant's quota.
  // Returns what Authenticator::Authorize() does.
  absl::StatusOr<CallerId> Admit(Role role) const;
  // Answers the call of slot `index`. One of these, once. What does not fit
  // into the slot or the outputs waits for the client to fetch it. The outputs
  // whose bits in `device_outputs` are set cannot be written to here.
  void Answer(uint32_t index, EncodedResponse response,
              absl::Span<const absl::Span<std::byte>> outputs,
              uint32_t device_outputs);
  void Fail(uint32_t index, const absl::Status& status);

 private:
  Session(const SessionServices& services, RegionBudget* budget, uid_t uid,
          std::string authorization, std::function<void()> on_broken,
          shared_memory::Descriptor ring_fd, shared_memory::Ring* ring);
  void Run();
  // Takes the call of a slot. False if the client has broken the rules.
  bool Take(uint32_t index);
  void Fetch(uint32_t index, const shared_memory::Request& request);
  void Publish(uint32_t index);

  const SessionServices services_;
  RegionBudget& budget_;
  const uid_t uid_;
  const std::string authorization_;
  const std::function<void()> on_broken_;
  const shared_memory::Descriptor ring_fd_;
  shared_memory::Ring* const ring_;
  std::atomic<bool> is_closed_ = false;
  std::atomic<bool> has_ended_ = false;
  // The slots whose call is not answered yet.
  std::array<std::atomic<bool>, shared_memory::kNumSlots> is_busy_ = {};
  // Answers that wait to be fetched; that of a slot belongs to whoever has the
  // slot.
  std::array<std::optional<EncodedResponse>, shared_memory::kNumSlots> waiting_;
  absl::Mutex mu_;
  absl::flat_hash_map<uint32_t, std::shared_ptr<const Region>> regions_
      ABSL_GUARDED_BY(mu_);
  // The numbers of those on the device, by handle.
  absl::flat_hash_map<std::string, uint32_t> device_regions_
      ABSL_GUARDED_BY(mu_);
  uint32_t next_region_ ABSL_GUARDED_BY(mu_) = 1;
  int64_t region_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SHARED_MEMORY_SESSION_H_
