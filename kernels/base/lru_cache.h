#ifndef ACTSERVE_KERNELS_BASE_LRU_CACHE_H_
#define ACTSERVE_KERNELS_BASE_LRU_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace actserve {

// A map that drops the least recently used entries beyond a number of entries
// or beyond a sum of charges, for instance bytes. The newest entry stays even
// if it alone exceeds the charge. Not thread-safe.
template <typename Key, typename Value,
          typename Hash = typename absl::flat_hash_map<Key, int>::hasher,
          typename Equal = typename absl::flat_hash_map<Key, int>::key_equal>
class LruCache {
 public:
  using Entry = std::pair<Key, Value>;
  using Entries = std::list<Entry>;

  explicit LruCache(size_t max_entries,
                    int64_t max_charge = std::numeric_limits<int64_t>::max())
      : max_entries_(max_entries), max_charge_(max_charge) {}

  // nullptr if there is none. Counts as a use. Valid until the next Put().
  template <typename LookupKey>
  Value* Find(const LookupKey& key) {
    auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second.entry);
    return &it->second.entry->second;
  }

  // Replaces the entry of `key`, or adds one. Returns the entries that it
  // replaces or drops, so that a caller can destroy them outside its lock.
  Entries Put(const Key& key, Value value, int64_t charge = 0) {
    Entries dropped;
    if (max_entries_ == 0) return dropped;
    if (auto it = index_.find(key); it != index_.end()) Drop(it, dropped);
    entries_.emplace_front(key, std::move(value));
    index_[key] = {entries_.begin(), charge};
    charge_ += charge;
    while (entries_.size() > max_entries_ ||
           (charge_ > max_charge_ && entries_.size() > 1)) {
      Drop(index_.find(entries_.back().first), dropped);
    }
    return dropped;
  }

  // Removes and returns the entry of `key`, if there is one.
  Entries Erase(const Key& key) {
    Entries dropped;
    if (auto it = index_.find(key); it != index_.end()) Drop(it, dropped);
    return dropped;
  }

  // The most recently used first.
  const Entries& entries() const { return entries_; }
  // The sum of the charges.
  int64_t charge() const { return charge_; }

 private:
  struct Slot {
    typename Entries::iterator entry;
    int64_t charge = 0;
  };
  using Index = absl::flat_hash_map<Key, Slot, Hash, Equal>;

  void Drop(typename Index::iterator it, Entries& dropped) {
    charge_ -= it->second.charge;
    dropped.splice(dropped.end(), entries_, it->second.entry);
    index_.erase(it);
  }

  const size_t max_entries_;
  const int64_t max_charge_;
  int64_t charge_ = 0;
  Entries entries_;
  Index index_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_BASE_LRU_CACHE_H_
