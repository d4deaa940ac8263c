#ifndef ACTSERVE_SERVER_SCHEDULING_LINKED_LIST_H_
#define ACTSERVE_SERVER_SCHEDULING_LINKED_LIST_H_

namespace actserve {

// A member of every object that can be in a LinkedList; one for each list that
// it can be in at the same time.
template <typename T>
struct Link {
  T* next = nullptr;
  T* previous = nullptr;
};

// A list of objects that hold their own links. It allocates nothing and removes
// from the middle in constant time. Owns nothing. Not thread-safe.
template <typename T, Link<T> T::* kLink>
class LinkedList {
 public:
  bool empty() const { return front_ == nullptr; }
  // nullptr if empty.
  T* front() const { return front_; }
  T* back() const { return back_; }
  // nullptr after the last.
  static T* After(const T* item) { return (item->*kLink).next; }
  static T* Before(const T* item) { return (item->*kLink).previous; }

  // The largest object, the first one among equals; nullptr if empty.
  template <typename Less>
  T* Largest(Less less) const {
    T* largest = front_;
    for (T* item = front_; item != nullptr; item = After(item)) {
      if (less(largest, item)) largest = item;
    }
    return largest;
  }

  // `item` must not be in a list by this link.
  void PushBack(T* item) {
    item->*kLink = {nullptr, back_};
    (back_ == nullptr ? front_ : (back_->*kLink).next) = item;
    back_ = item;
  }

  // `item` must be in this list.
  void Remove(T* item) {
    const Link<T> link = item->*kLink;
    (link.previous == nullptr ? front_ : (link.previous->*kLink).next) =
        link.next;
    (link.next == nullptr ? back_ : (link.next->*kLink).previous) =
        link.previous;
    item->*kLink = {};
  }

  void MoveToBack(T* item) {
    Remove(item);
    PushBack(item);
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SCHEDULING_LINKED_LIST_H_
