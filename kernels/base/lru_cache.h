#ifndef ACTSERVE_KERNELS_BASE_LRU_CACHE_H_
#define ACTSERVE_KERNELS_BASE_LRU_CACHE_H_

#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace actserve {

// A map of at most `max_entries` entries that drops the least recently used
// one. Not thread-safe.
template <typename Key, typename Value>
class LruCache {
 public:
  using Entry = std::pair<Key, Value>;

  explicit LruCache(size_t max_entries) : max_entries_(max_entries) {}

  // nullptr if there is none. Counts as a use. Valid until the next Put().
  template <typename LookupKey>
  Value* Find(const LookupKey& key) {
    auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->second;
  }

  // Replaces the entry of `key`, or adds one and drops the least recently used.
  void Put(const Key& key, Value value) {
    if (Value* found = Find(key)) {
      *found = std::move(value);
      return;
    }
    if (max_entries_ == 0) return;
    if (entries_.size() == max_entries_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, std::move(value));
    index_[key] = entries_.begin();
  }

  // The most recently used first.
  const std::list<Entry>& entries() const { return entries_; }

 private:
  const size_t max_entries_;
  std::list<Entry> entries_;
  absl::flat_hash_map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_LRU_CACHE_H_
