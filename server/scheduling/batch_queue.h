// Which of the work that waits for a device runs next, and together with
// what. Policy only: no threads, and the time is what the caller says.

#ifndef ACTSERVE_SERVER_SCHEDULING_BATCH_QUEUE_H_
#define ACTSERVE_SERVER_SCHEDULING_BATCH_QUEUE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/device/device.h"
#include "server/scheduling/linked_list.h"

namespace actserve {

// A bounded queue of entries that leave it in batches. A batch is of one
// program; the order is fair:
//
//   * callers take turns at being first, each turn with the next of the
//     programs that this caller waits for;
//   * what is first takes along waiting entries of the same program, one per
//     caller in turn, up to the limits of a batch;
//   * entries of one caller and program leave in the order they came;
//   * if the queue is full, what is refused belongs to whoever holds most of
//     it, not to whoever comes last.
//
// Not thread-safe.
class BatchQueue {
 public:
  struct Limits {
    // Entries that wait, and their bytes.
    int max_queued = 1024;
    int64_t max_queued_bytes = int64_t{1} << 30;
    // Of one batch. An entry beyond them goes alone. With one entry to a
    // batch, nothing is batched.
    int max_batch_entries = 1024;
    int64_t max_batch_elements = int64_t{4} << 20;
    int64_t max_batch_bytes = int64_t{64} << 20;
    // How long an entry waits for others of its program, unless they fill a
    // batch before.
    absl::Duration delay = absl::ZeroDuration();
  };

  // What the queue must know. Owned by whoever pushes it, and kept until it
  // leaves the queue.
  class Entry {
   public:
    // Only its identity is used.
    const Program* program = nullptr;
    // Whom to be fair to; the same for all that one caller sends.
    uint64_t caller = 0;
    int64_t num_elements = 0;
    int64_t size_bytes = 0;
    absl::Time submitted;

   private:
    friend class BatchQueue;
    Link<Entry> link_;
  };

  explicit BatchQueue(const Limits& limits);
  ~BatchQueue();

  // Who found no room: `entry` itself, or others that gave way to it because
  // their caller holds more than this one. Usually nobody.
  struct Refusal {
    std::vector<Entry*> entries;
    // ResourceExhausted; for a person.
    absl::Status reason;
  };
  // Entries come in the order of `submitted`; as far as they do not, they may
  // be delayed for longer.
  Refusal Push(Entry* entry);

  // The next batch. Empty if nothing is due at `now`.
  std::vector<Entry*> Pop(absl::Time now);

  // From when on Pop() returns something: InfinitePast() for at once,
  // InfiniteFuture() if nothing waits.
  absl::Time NextDue() const;

  // From now on nothing waits for company.
  void StopDelaying() { limits_.delay = absl::ZeroDuration(); }

  bool empty() const { return num_queued_ == 0; }
  int num_queued() const { return num_queued_; }
  int64_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Load {
    int num_entries = 0;
    int64_t num_elements = 0;
    int64_t size_bytes = 0;
    void Add(const Entry& entry);
    void Subtract(const Entry& entry);
  };
  struct Caller;
  struct Group;
  // What one caller waits for from one program. In the list of its caller and
  // in that of its group while it has entries.
  struct Lane {
    Caller* caller = nullptr;
    Group* group = nullptr;
    Load load;
    LinkedList<Entry, &Entry::link_> entries;
    Link<Lane> caller_link;
    Link<Lane> group_link;
  };
  struct Caller {
    Load load;
    LinkedList<Lane, &Lane::caller_link> lanes;
    Link<Caller> link;
  };
  // What waits for one program.
  struct Group {
    Load load;
    absl::Time first_submitted;
    LinkedList<Lane, &Lane::group_link> lanes;
    Link<Group> link;
  };

  Lane& LaneOf(const Entry& entry);
  void Append(Lane& lane, Entry* entry);
  void Remove(Lane& lane, Entry* entry);
  bool Fits(const Load& batch, const Entry& entry) const;
  bool IsDue(const Group& group, absl::Time now) const;
  bool IsFull(const Group& group) const;
  Lane* NextLane(absl::Time now);
  Refusal MakeRoomInBytes(const Caller& caller, Entry* entry);
  Refusal MakeRoomInCount(const Caller& caller, Entry* entry);
  void ForgetIdle();

  Limits limits_;
  int num_queued_ = 0;
  int64_t queued_bytes_ = 0;
  // Those with entries: callers in the order of their turns, groups in that
  // of their first entries.
  LinkedList<Caller, &Caller::link> callers_;
  LinkedList<Group, &Group::link> groups_;
  int num_full_groups_ = 0;

  // All, until ForgetIdle().
  using LaneKey = std::pair<uint64_t, const Program*>;
  absl::flat_hash_map<LaneKey, std::unique_ptr<Lane>> lanes_by_key_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Caller>> callers_by_id_;
  absl::flat_hash_map<const Program*, std::unique_ptr<Group>> groups_by_key_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_BATCH_QUEUE_H_
