// Decides which waiting job runs next, and together with which others. Policy
// only: it has no threads, and the caller passes the time.

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
#include "server/scheduling/caller_id.h"
#include "server/scheduling/linked_list.h"

namespace actserve {

// A bounded queue of jobs that leave it in batches. All jobs of a batch share
// one program. The order is fair to callers:
//
//   * peers take turns at having the first job of a batch; in the turn of a
//   peer
//     its connections take turns, each with the next of the programs that it
//     waits for;
//   * the first job is joined by waiting jobs of the same program, one from
//     each connection in turn, up to the limits of a batch;
//   * jobs of one connection and program leave in the order they came;
//   * a full queue refuses a job of the peer, and there of the connection, that
//     holds most of the queue, not the job that came last.
//
// Not thread-safe.
class BatchQueue {
 public:
  struct Limits {
    // Limits on the jobs that wait, and on their bytes.
    int max_queued = 1024;
    int64_t max_queued_bytes = int64_t{1} << 30;
    // Limits on one batch. A job beyond them runs alone. A limit of one job
    // turns batching off.
    int max_batch_jobs = 1024;
    int64_t max_batch_elements = int64_t{4} << 20;
    int64_t max_batch_bytes = int64_t{64} << 20;
    // How long a job waits for others of its program, unless they fill a
    // batch before.
    absl::Duration delay = absl::ZeroDuration();
  };

  // The part of a job that the queue knows. The caller of Push() owns it and
  // keeps it until it leaves the queue.
  class QueuedJob {
   public:
    // Only the pointer is compared; the program is not used.
    const Program* program = nullptr;
    // The caller to be fair to.
    CallerId caller;
    int64_t num_elements = 0;
    int64_t size_bytes = 0;
    absl::Time submitted;

   private:
    friend class BatchQueue;
    Link<QueuedJob> link_;
  };

  explicit BatchQueue(const Limits& limits);
  ~BatchQueue();

  // The jobs that found no room: the pushed job itself, or others that gave way
  // to it because their caller holds more of the queue. Usually none.
  struct Refusal {
    std::vector<QueuedJob*> jobs;
    // ResourceExhausted, with a message for people.
    absl::Status reason;
  };
  // Jobs should come in the order of `submitted`; one that does not may be
  // delayed for longer.
  Refusal Push(QueuedJob* job);

  // The next batch. Empty if nothing is due at `now`.
  std::vector<QueuedJob*> Pop(absl::Time now);

  // The earliest time at which Pop() returns a batch: InfinitePast() if one is
  // due now, InfiniteFuture() if nothing waits.
  absl::Time NextDue() const;

  // From now on no job waits for others of its program.
  void StopDelaying() { limits_.delay = absl::ZeroDuration(); }

  bool empty() const { return num_queued_ == 0; }
  int num_queued() const { return num_queued_; }
  int64_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Load {
    int num_jobs = 0;
    int64_t num_elements = 0;
    int64_t size_bytes = 0;
    void Add(const QueuedJob& job);
    void Subtract(const QueuedJob& job);
  };
  struct Peer;
  struct Caller;
  struct Group;
  // The waiting jobs of one caller and one program. In the lists of its caller
  // and of its group while it has jobs.
  struct Lane {
    Caller* caller = nullptr;
    Group* group = nullptr;
    Load load;
    LinkedList<QueuedJob, &QueuedJob::link_> jobs;
    Link<Lane> caller_link;
    Link<Lane> group_link;
  };
  // A connection.
  struct Caller {
    Peer* peer = nullptr;
    Load load;
    LinkedList<Lane, &Lane::caller_link> lanes;
    Link<Caller> link;
  };
  struct Peer {
    Load load;
    LinkedList<Caller, &Caller::link> callers;
    Link<Peer> link;
  };
  // The waiting jobs of one program.
  struct Group {
    Load load;
    absl::Time first_submitted;
    LinkedList<Lane, &Lane::group_link> lanes;
    Link<Group> link;
  };

  Lane& LaneOf(const QueuedJob& job);
  void Append(Lane& lane, QueuedJob* job);
  void Remove(Lane& lane, QueuedJob* job);
  bool Fits(const Load& batch, const QueuedJob& job) const;
  bool IsDue(const Group& group, absl::Time now) const;
  bool IsFull(const Group& group) const;
  Lane* NextLane(absl::Time now);
  // Takes jobs that free `missing` bytes off the end of the largest lane of
  // `largest`; none if they are more than `spare` bytes.
  std::vector<QueuedJob*> RemoveLast(const Caller& largest, int64_t missing,
                                     int64_t spare);
  Refusal MakeRoomInBytes(const Caller& caller, QueuedJob* job);
  Refusal MakeRoomInCount(const Caller& caller, QueuedJob* job);
  void ForgetIdle();

  Limits limits_;
  int num_queued_ = 0;
  int64_t queued_bytes_ = 0;
  // Peers with jobs, in the order of their turns, and groups with jobs, in the
  // order of their first jobs.
  LinkedList<Peer, &Peer::link> peers_;
  LinkedList<Group, &Group::link> groups_;
  int num_full_groups_ = 0;

  // All lanes, callers, peers and groups, until ForgetIdle() drops the idle
  // ones.
  using LaneKey = std::pair<CallerId, const Program*>;
  absl::flat_hash_map<LaneKey, std::unique_ptr<Lane>> lanes_by_key_;
  absl::flat_hash_map<CallerId, std::unique_ptr<Caller>> callers_by_id_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Peer>> peers_by_id_;
  absl::flat_hash_map<const Program*, std::unique_ptr<Group>> groups_by_key_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_BATCH_QUEUE_H_
