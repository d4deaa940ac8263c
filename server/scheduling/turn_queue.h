#ifndef ACTSERVE_SERVER_SCHEDULING_TURN_QUEUE_H_
#define ACTSERVE_SERVER_SCHEDULING_TURN_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <optional>
#include <utility>

#include "server/scheduling/caller_id.h"

namespace actserve {

// A bounded queue that callers leave in turns: peers take turns, and in the
// turn of a peer its connections do. Items of one connection leave in the order
// in which they came. A full queue refuses an item of the peer, and there of
// the connection, that holds most of the queue, not the item that came last.
//
// Push() and Pop() take time in proportion to the callers that wait. Not
// thread-safe.
template <typename Item>
class TurnQueue {
 public:
  explicit TurnQueue(size_t max_size) : max_size_(max_size) {}

  // Returns the item that found no room: `item` itself, or another that gave
  // way to it. Usually none.
  std::optional<Item> Push(const CallerId& caller, Item item) {
    std::optional<Item> refused;
    if (size_ >= max_size_) {
      const auto victim = FindVictim(caller);
      if (!victim.has_value()) return item;
      refused = std::move(victim->lane->items.back());
      victim->lane->items.pop_back();
      Removed(*victim);
    }
    Peer& peer = FindOrAdd(peers_, caller.peer);
    FindOrAdd(peer.lanes, caller.connection).items.push_back(std::move(item));
    ++peer.size;
    ++size_;
    return refused;
  }

  // The next item; nullopt if there is none.
  std::optional<Item> Pop() {
    return Pop([](uint64_t) { return 0; });
  }

  // The next item of the peer for whose id `used` returns the least. Those for
  // whom it is equal take turns.
  template <typename Used>
  std::optional<Item> Pop(const Used& used) {
    if (peers_.empty()) return std::nullopt;
    auto peer = peers_.begin();
    auto least = used(peer->id);
    for (auto it = std::next(peer); it != peers_.end(); ++it) {
      if (auto its = used(it->id); its < least) {
        peer = it;
        least = std::move(its);
      }
    }
    const auto lane = peer->lanes.begin();
    Item item = std::move(lane->items.front());
    lane->items.pop_front();
    peer->lanes.splice(peer->lanes.end(), peer->lanes, lane);
    peers_.splice(peers_.end(), peers_, peer);
    Removed({peer, lane});
    return item;
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

 private:
  // The items of one connection; never empty between calls.
  struct Lane {
    uint64_t id = 0;
    std::deque<Item> items;
  };
  struct Peer {
    uint64_t id = 0;
    // In the order of their turns.
    std::list<Lane> lanes;
    size_t size = 0;
  };
  struct Place {
    typename std::list<Peer>::iterator peer;
    typename std::list<Lane>::iterator lane;
  };

  template <typename T>
  static T& FindOrAdd(std::list<T>& list, uint64_t id) {
    for (T& entry : list) {
      if (entry.id == id) return entry;
    }
    list.emplace_back().id = id;
    return list.back();
  }

  // Where the last item gives way to one of `caller`; nullopt if no one holds
  // enough more than that caller would.
  std::optional<Place> FindVictim(const CallerId& caller) {
    const auto own =
        std::find_if(peers_.begin(), peers_.end(),
                     [&](const Peer& peer) { return peer.id == caller.peer; });
    const size_t own_size = own == peers_.end() ? 0 : own->size;
    const auto largest = std::max_element(
        peers_.begin(), peers_.end(),
        [](const Peer& a, const Peer& b) { return a.size < b.size; });
    if (largest == peers_.end()) return std::nullopt;
    if (largest->size >= own_size + 2) {
      return Place{largest, LargestLane(*largest)};
    }
    if (own == peers_.end()) return std::nullopt;
    size_t own_lane_size = 0;
    for (const Lane& lane : own->lanes) {
      if (lane.id == caller.connection) own_lane_size = lane.items.size();
    }
    const auto lane = LargestLane(*own);
    if (lane->items.size() < own_lane_size + 2) return std::nullopt;
    return Place{own, lane};
  }

  static typename std::list<Lane>::iterator LargestLane(Peer& peer) {
    return std::max_element(peer.lanes.begin(), peer.lanes.end(),
                            [](const Lane& a, const Lane& b) {
                              return a.items.size() < b.items.size();
                            });
  }

  // Counts an item that left `place`, and forgets who has none any more.
  void Removed(const Place& place) {
    --size_;
    --place.peer->size;
    if (place.lane->items.empty()) place.peer->lanes.erase(place.lane);
    if (place.peer->lanes.empty()) peers_.erase(place.peer);
  }

  const size_t max_size_;
  size_t size_ = 0;
  // In the order of their turns.
  std::list<Peer> peers_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_TURN_QUEUE_H_
