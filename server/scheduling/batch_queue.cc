#include "server/scheduling/batch_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

// Lanes without jobs are kept for the next job, which saves allocations,
// up to about this number.
constexpr size_t kMaxIdleLanes = 1024;

// For lanes, callers and peers.
constexpr auto HasFewerJobs = [](const auto* a, const auto* b) {
  return a->load.num_jobs < b->load.num_jobs;
};
constexpr auto HasFewerBytes = [](const auto* a, const auto* b) {
  return a->load.size_bytes < b->load.size_bytes;
};

}  // namespace

void BatchQueue::Load::Add(const QueuedJob& job) {
  ++num_jobs;
  num_elements += job.num_elements;
  size_bytes += job.size_bytes;
}

void BatchQueue::Load::Subtract(const QueuedJob& job) {
  --num_jobs;
  num_elements -= job.num_elements;
  size_bytes -= job.size_bytes;
}

BatchQueue::BatchQueue(const Limits& limits) : limits_(limits) {}

BatchQueue::~BatchQueue() = default;

BatchQueue::Refusal BatchQueue::Push(QueuedJob* job) {
  Lane& lane = LaneOf(*job);
  Refusal refusal = MakeRoomInBytes(*lane.caller, job);
  if (refusal.jobs.empty()) {
    refusal = MakeRoomInCount(*lane.caller, job);
  }
  if (refusal.jobs.empty() || refusal.jobs[0] != job) {
    Append(lane, job);
  }
  return refusal;
}

std::vector<BatchQueue::QueuedJob*> BatchQueue::Pop(absl::Time now) {
  std::vector<QueuedJob*> batch;
  Lane* first = NextLane(now);
  if (first == nullptr) return batch;
  Group& group = *first->group;
  Peer* const peer = first->caller->peer;
  peers_.MoveToBack(peer);
  peer->callers.MoveToBack(first->caller);
  first->caller->lanes.MoveToBack(first);
  batch.reserve(std::min(group.load.num_jobs, limits_.max_batch_jobs));
  Load load;
  for (Lane* lane = first; lane != nullptr; lane = group.lanes.front()) {
    QueuedJob* job = lane->jobs.front();
    if (!batch.empty() && !Fits(load, *job)) break;
    group.lanes.MoveToBack(lane);
    Remove(*lane, job);
    load.Add(*job);
    batch.push_back(job);
  }
  return batch;
}

absl::Time BatchQueue::NextDue() const {
  if (groups_.empty()) return absl::InfiniteFuture();
  if (limits_.delay == absl::ZeroDuration() || num_full_groups_ > 0) {
    return absl::InfinitePast();
  }
  return groups_.front()->first_submitted + limits_.delay;
}

BatchQueue::Lane& BatchQueue::LaneOf(const QueuedJob& job) {
  if (lanes_by_key_.size() > kMaxIdleLanes + 2 * num_queued_) ForgetIdle();
  std::unique_ptr<Lane>& lane = lanes_by_key_[{job.caller, job.program}];
  if (lane != nullptr) return *lane;
  lane = std::make_unique<Lane>();
  std::unique_ptr<Caller>& caller = callers_by_id_[job.caller];
  if (caller == nullptr) {
    caller = std::make_unique<Caller>();
    std::unique_ptr<Peer>& peer = peers_by_id_[job.caller.peer];
    if (peer == nullptr) peer = std::make_unique<Peer>();
    caller->peer = peer.get();
  }
  std::unique_ptr<Group>& group = groups_by_key_[job.program];
  if (group == nullptr) group = std::make_unique<Group>();
  lane->caller = caller.get();
  lane->group = group.get();
  return *lane;
}

void BatchQueue::Append(Lane& lane, QueuedJob* job) {
  Caller& caller = *lane.caller;
  Peer& peer = *caller.peer;
  Group& group = *lane.group;
  if (peer.load.num_jobs == 0) peers_.PushBack(&peer);
  if (caller.load.num_jobs == 0) peer.callers.PushBack(&caller);
  if (group.load.num_jobs == 0) {
    group.first_submitted = job->submitted;
    groups_.PushBack(&group);
  }
  if (lane.load.num_jobs == 0) {
    caller.lanes.PushBack(&lane);
    group.lanes.PushBack(&lane);
  }
  num_full_groups_ -= IsFull(group);
  lane.jobs.PushBack(job);
  for (Load* load : {&lane.load, &caller.load, &peer.load, &group.load}) {
    load->Add(*job);
  }
  num_full_groups_ += IsFull(group);
  ++num_queued_;
  queued_bytes_ += job->size_bytes;
}

void BatchQueue::Remove(Lane& lane, QueuedJob* job) {
  Caller& caller = *lane.caller;
  Peer& peer = *caller.peer;
  Group& group = *lane.group;
  num_full_groups_ -= IsFull(group);
  lane.jobs.Remove(job);
  for (Load* load : {&lane.load, &caller.load, &peer.load, &group.load}) {
    load->Subtract(*job);
  }
  num_full_groups_ += IsFull(group);
  --num_queued_;
  queued_bytes_ -= job->size_bytes;
  if (lane.load.num_jobs == 0) {
    caller.lanes.Remove(&lane);
    group.lanes.Remove(&lane);
  }
  if (group.load.num_jobs == 0) groups_.Remove(&group);
  if (caller.load.num_jobs == 0) peer.callers.Remove(&caller);
  if (peer.load.num_jobs == 0) peers_.Remove(&peer);
}

bool BatchQueue::Fits(const Load& batch, const QueuedJob& job) const {
  return batch.num_jobs < limits_.max_batch_jobs &&
         job.num_elements <= limits_.max_batch_elements - batch.num_elements &&
         job.size_bytes <= limits_.max_batch_bytes - batch.size_bytes;
}

bool BatchQueue::IsFull(const Group& group) const {
  return group.load.num_jobs >= limits_.max_batch_jobs ||
         group.load.num_elements >= limits_.max_batch_elements ||
         group.load.size_bytes >= limits_.max_batch_bytes;
}

bool BatchQueue::IsDue(const Group& group, absl::Time now) const {
  return limits_.delay == absl::ZeroDuration() ||
         now >= group.first_submitted + limits_.delay || IsFull(group);
}

BatchQueue::Lane* BatchQueue::NextLane(absl::Time now) {
  for (Peer* peer = peers_.front(); peer != nullptr;
       peer = peers_.After(peer)) {
    for (Caller* caller = peer->callers.front(); caller != nullptr;
         caller = peer->callers.After(caller)) {
      for (Lane* lane = caller->lanes.front(); lane != nullptr;
           lane = caller->lanes.After(lane)) {
        if (IsDue(*lane->group, now)) return lane;
      }
    }
  }
  return nullptr;
}

BatchQueue::Refusal BatchQueue::MakeRoomInBytes(const Caller& caller,
                                                QueuedJob* job) {
  const int64_t missing =
      queued_bytes_ + job->size_bytes - limits_.max_queued_bytes;
  if (missing <= 0) return {};
  const absl::Status reason = absl::ResourceExhaustedError(absl::StrCat(
      "queue full: ", queued_bytes_, " bytes are waiting and ", job->size_bytes,
      " arrived, limit ", limits_.max_queued_bytes, " (--max_queued_bytes)"));
  if (peers_.empty()) return {{job}, reason};

  Peer& own = *caller.peer;
  Peer& other = *peers_.Largest(HasFewerBytes);
  Refusal refusal{{}, reason};
  if (&other != &own) {
    const int64_t spare =
        other.load.size_bytes - own.load.size_bytes - job->size_bytes;
    refusal.jobs =
        RemoveLast(*other.callers.Largest(HasFewerBytes), missing, spare);
  }
  if (refusal.jobs.empty() && !own.callers.empty()) {
    const Caller& largest = *own.callers.Largest(HasFewerBytes);
    const int64_t spare =
        largest.load.size_bytes - caller.load.size_bytes - job->size_bytes;
    refusal.jobs = RemoveLast(largest, missing, spare);
  }
  if (refusal.jobs.empty()) refusal.jobs = {job};
  return refusal;
}

std::vector<BatchQueue::QueuedJob*> BatchQueue::RemoveLast(
    const Caller& largest, int64_t missing, int64_t spare) {
  std::vector<QueuedJob*> jobs;
  if (missing > spare) return jobs;
  Lane& lane = *largest.lanes.Largest(HasFewerBytes);
  int64_t freed = 0;
  for (QueuedJob* job = lane.jobs.back(); job != nullptr && freed < missing;
       job = lane.jobs.Before(job)) {
    jobs.push_back(job);
    freed += job->size_bytes;
  }
  if (freed < missing || freed > spare) return {};
  for (QueuedJob* job : jobs) Remove(lane, job);
  return jobs;
}

BatchQueue::Refusal BatchQueue::MakeRoomInCount(const Caller& caller,
                                                QueuedJob* job) {
  if (num_queued_ < limits_.max_queued) return {};
  const absl::Status reason = absl::ResourceExhaustedError(
      absl::StrCat("queue full: ", num_queued_, " requests are waiting, limit ",
                   limits_.max_queued, " (--max_queued)"));
  Peer& own = *caller.peer;
  const Peer& other = *peers_.Largest(HasFewerJobs);
  Caller* largest = nullptr;
  if (other.load.num_jobs >= own.load.num_jobs + 2) {
    largest = other.callers.Largest(HasFewerJobs);
  } else {
    largest = own.callers.Largest(HasFewerJobs);
    if (largest == nullptr ||
        largest->load.num_jobs < caller.load.num_jobs + 2) {
      return {{job}, reason};
    }
  }
  Lane* lane = largest->lanes.Largest(HasFewerJobs);
  QueuedJob* victim = lane->jobs.back();
  Remove(*lane, victim);
  return {{victim}, reason};
}

void BatchQueue::ForgetIdle() {
  const auto is_idle = [](const auto& job) {
    return job.second->load.num_jobs == 0;
  };
  absl::erase_if(lanes_by_key_, is_idle);
  absl::erase_if(callers_by_id_, is_idle);
  absl::erase_if(peers_by_id_, is_idle);
  absl::erase_if(groups_by_key_, is_idle);
}

}  // namespace actserve
