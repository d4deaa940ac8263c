#include "server/scheduling/batch_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace actserve {
namespace {

// Lanes without entries are kept for the next entry, which saves allocations,
// up to about this number.
constexpr size_t kMaxIdleLanes = 1024;

}  // namespace

void BatchQueue::Load::Add(const Entry& entry) {
  ++num_entries;
  num_elements += entry.num_elements;
  size_bytes += entry.size_bytes;
}

void BatchQueue::Load::Subtract(const Entry& entry) {
  --num_entries;
  num_elements -= entry.num_elements;
  size_bytes -= entry.size_bytes;
}

BatchQueue::BatchQueue(const Limits& limits) : limits_(limits) {}

BatchQueue::~BatchQueue() = default;

BatchQueue::Refusal BatchQueue::Push(Entry* entry) {
  Lane& lane = LaneOf(*entry);
  Refusal refusal = MakeRoomInBytes(*lane.caller, entry);
  if (refusal.entries.empty()) {
    refusal = MakeRoomInCount(*lane.caller, entry);
  }
  if (refusal.entries.empty() || refusal.entries[0] != entry) {
    Append(lane, entry);
  }
  return refusal;
}

std::vector<BatchQueue::Entry*> BatchQueue::Pop(absl::Time now) {
  std::vector<Entry*> batch;
  Lane* first = NextLane(now);
  if (first == nullptr) return batch;
  Group& group = *first->group;
  callers_.MoveToBack(first->caller);
  first->caller->lanes.MoveToBack(first);
  batch.reserve(std::min(group.load.num_entries, limits_.max_batch_entries));
  Load load;
  for (Lane* lane = first; lane != nullptr; lane = group.lanes.front()) {
    Entry* entry = lane->entries.front();
    if (!batch.empty() && !Fits(load, *entry)) break;
    group.lanes.MoveToBack(lane);
    Remove(*lane, entry);
    load.Add(*entry);
    batch.push_back(entry);
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

BatchQueue::Lane& BatchQueue::LaneOf(const Entry& entry) {
  if (lanes_by_key_.size() > kMaxIdleLanes + 2 * num_queued_) ForgetIdle();
  std::unique_ptr<Lane>& lane = lanes_by_key_[{entry.caller, entry.program}];
  if (lane != nullptr) return *lane;
  lane = std::make_unique<Lane>();
  std::unique_ptr<Caller>& caller = callers_by_id_[entry.caller];
  if (caller == nullptr) caller = std::make_unique<Caller>();
  std::unique_ptr<Group>& group = groups_by_key_[entry.program];
  if (group == nullptr) group = std::make_unique<Group>();
  lane->caller = caller.get();
  lane->group = group.get();
  return *lane;
}

void BatchQueue::Append(Lane& lane, Entry* entry) {
  Caller& caller = *lane.caller;
  Group& group = *lane.group;
  if (caller.load.num_entries == 0) callers_.PushBack(&caller);
  if (group.load.num_entries == 0) {
    group.first_submitted = entry->submitted;
    groups_.PushBack(&group);
  }
  if (lane.load.num_entries == 0) {
    caller.lanes.PushBack(&lane);
    group.lanes.PushBack(&lane);
  }
  num_full_groups_ -= IsFull(group);
  lane.entries.PushBack(entry);
  for (Load* load : {&lane.load, &caller.load, &group.load}) load->Add(*entry);
  num_full_groups_ += IsFull(group);
  ++num_queued_;
  queued_bytes_ += entry->size_bytes;
}

void BatchQueue::Remove(Lane& lane, Entry* entry) {
  Caller& caller = *lane.caller;
  Group& group = *lane.group;
  num_full_groups_ -= IsFull(group);
  lane.entries.Remove(entry);
  for (Load* load : {&lane.load, &caller.load, &group.load}) {
    load->Subtract(*entry);
  }
  num_full_groups_ += IsFull(group);
  --num_queued_;
  queued_bytes_ -= entry->size_bytes;
  if (lane.load.num_entries == 0) {
    caller.lanes.Remove(&lane);
    group.lanes.Remove(&lane);
  }
  if (group.load.num_entries == 0) groups_.Remove(&group);
  if (caller.load.num_entries == 0) callers_.Remove(&caller);
}

bool BatchQueue::Fits(const Load& batch, const Entry& entry) const {
  return batch.num_entries < limits_.max_batch_entries &&
         entry.num_elements <=
             limits_.max_batch_elements - batch.num_elements &&
         entry.size_bytes <= limits_.max_batch_bytes - batch.size_bytes;
}

bool BatchQueue::IsFull(const Group& group) const {
  return group.load.num_entries >= limits_.max_batch_entries ||
         group.load.num_elements >= limits_.max_batch_elements ||
         group.load.size_bytes >= limits_.max_batch_bytes;
}

bool BatchQueue::IsDue(const Group& group, absl::Time now) const {
  return limits_.delay == absl::ZeroDuration() ||
         now >= group.first_submitted + limits_.delay || IsFull(group);
}

BatchQueue::Lane* BatchQueue::NextLane(absl::Time now) {
  for (Caller* caller = callers_.front(); caller != nullptr;
       caller = callers_.After(caller)) {
    for (Lane* lane = caller->lanes.front(); lane != nullptr;
         lane = caller->lanes.After(lane)) {
      if (IsDue(*lane->group, now)) return lane;
    }
  }
  return nullptr;
}

BatchQueue::Refusal BatchQueue::MakeRoomInBytes(const Caller& caller,
                                                Entry* entry) {
  const int64_t missing =
      queued_bytes_ + entry->size_bytes - limits_.max_queued_bytes;
  if (missing <= 0) return {};
  const absl::Status reason = absl::ResourceExhaustedError(
      absl::StrCat("queue full: ", queued_bytes_, " bytes are waiting and ",
                   entry->size_bytes, " arrived, limit ",
                   limits_.max_queued_bytes, " (--max_queued_bytes)"));
  if (callers_.empty()) return {{entry}, reason};

  const auto fewer_bytes = [](const auto* a, const auto* b) {
    return a->load.size_bytes < b->load.size_bytes;
  };
  Caller* largest = callers_.Largest(fewer_bytes);
  Lane* lane = largest->lanes.Largest(fewer_bytes);
  const int64_t spare =
      largest->load.size_bytes - caller.load.size_bytes - entry->size_bytes;
  std::vector<Entry*> victims;
  int64_t freed = 0;
  for (Entry* victim = lane->entries.back();
       victim != nullptr && freed < missing;
       victim = lane->entries.Before(victim)) {
    victims.push_back(victim);
    freed += victim->size_bytes;
  }
  if (largest == &caller || freed < missing || freed > spare) {
    return {{entry}, reason};
  }
  for (Entry* victim : victims) Remove(*lane, victim);
  return {std::move(victims), reason};
}

BatchQueue::Refusal BatchQueue::MakeRoomInCount(const Caller& caller,
                                                Entry* entry) {
  if (num_queued_ < limits_.max_queued) return {};
  const absl::Status reason = absl::ResourceExhaustedError(
      absl::StrCat("queue full: ", num_queued_, " requests are waiting, limit ",
                   limits_.max_queued, " (--max_queued)"));
  const auto fewer_entries = [](const auto* a, const auto* b) {
    return a->load.num_entries < b->load.num_entries;
  };
  Caller* largest = callers_.Largest(fewer_entries);
  if (largest->load.num_entries < caller.load.num_entries + 2) {
    return {{entry}, reason};
  }
  Lane* lane = largest->lanes.Largest(fewer_entries);
  Entry* victim = lane->entries.back();
  Remove(*lane, victim);
  return {{victim}, reason};
}

void BatchQueue::ForgetIdle() {
  const auto is_idle = [](const auto& entry) {
    return entry.second->load.num_entries == 0;
  };
  absl::erase_if(lanes_by_key_, is_idle);
  absl::erase_if(callers_by_id_, is_idle);
  absl::erase_if(groups_by_key_, is_idle);
}

}  // namespace actserve
