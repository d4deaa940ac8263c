// Tells ThreadSanitizer what abseil's Mutex, CondVar and Notification order.
// The distributions' abseil is not built for it, so every use would look like a
// race. Linked into the programs of the tsan preset, these definitions stand in
// front of the library's: they call it and announce what happens before what.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <typeinfo>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace {

// The library's definition of a member of `Class` whose mangled name ends
// `suffix`.
template <typename Class, typename Function>
Function* Original(const char* suffix) {
  // "N4absl...5MutexE", less its E, is how the members' names begin.
  std::string name = typeid(Class).name();
  name.pop_back();
  if (std::is_const_v<Class>) name.insert(1, "K");
  name = "_Z" + name + suffix;
  void* const found = dlsym(RTLD_NEXT, name.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "no %s in abseil\n", name.c_str());
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

// A condition that whichever thread evaluates it holds the mutex for, though
// abseil took it behind ThreadSanitizer's back.
class AnnouncedCondition {
 public:
  AnnouncedCondition(absl::Mutex* mutex, const absl::Condition& condition)
      : mutex_(mutex), condition_(condition) {}
  absl::Condition condition() const {
    return absl::Condition(&Eval,
                           const_cast<void*>(static_cast<const void*>(this)));
  }

 private:
  // Only behind its first line does ThreadSanitizer know that `object` is
  // ready to be read.
  __attribute__((no_sanitize("thread"))) static bool Eval(void* object) {
    const auto* self = static_cast<const AnnouncedCondition*>(object);
    __tsan_acquire(self->mutex_);
    const bool value = self->condition_.Eval();
    __tsan_release(self->mutex_);
    return value;
  }

  absl::Mutex* const mutex_;
  const absl::Condition& condition_;
};

}  // namespace

// abseil looks for deadlocks behind a spin lock that ThreadSanitizer does not
// see either, and moves the graph of its mutexes there.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:absl::*GraphCycles\n";
}

namespace absl {

#define ORIGINAL(Class, suffix, ...) \
  static auto* const original = Original<Class, __VA_ARGS__>(suffix)

#define DEFINE_LOCK(Name, suffix)          \
  void Mutex::Name() {                     \
    ORIGINAL(Mutex, suffix, void(Mutex*)); \
    original(this);                        \
    __tsan_acquire(this);                  \
  }
#define DEFINE_TRY_LOCK(Name, suffix)      \
  bool Mutex::Name() {                     \
    ORIGINAL(Mutex, suffix, bool(Mutex*)); \
    if (!original(this)) return false;     \
    __tsan_acquire(this);                  \
    return true;                           \
  }
#define DEFINE_UNLOCK(Name, suffix)        \
  void Mutex::Name() {                     \
    ORIGINAL(Mutex, suffix, void(Mutex*)); \
    __tsan_release(this);                  \
    original(this);                        \
  }
#define DEFINE_WHEN(Name, suffix)                            \
  void Mutex::Name(const Condition& condition) {             \
    ORIGINAL(Mutex, suffix, void(Mutex*, const Condition&)); \
    const AnnouncedCondition announced(this, condition);     \
    __tsan_release(this);                                    \
    original(this, announced.condition());                   \
    __tsan_acquire(this);                                    \
  }
#define DEFINE_WHEN_OR(Name, suffix, Limit)                          \
  bool Mutex::Name(const Condition& condition, Limit limit) {        \
    ORIGINAL(Mutex, suffix, bool(Mutex*, const Condition&, Limit));  \
    const AnnouncedCondition announced(this, condition);             \
    __tsan_release(this);                                            \
    const bool value = original(this, announced.condition(), limit); \
    __tsan_acquire(this);                                            \
    return value;                                                    \
  }

DEFINE_LOCK(Lock, "4LockEv")
DEFINE_LOCK(ReaderLock, "10ReaderLockEv")
DEFINE_TRY_LOCK(TryLock, "7TryLockEv")
DEFINE_TRY_LOCK(ReaderTryLock, "13ReaderTryLockEv")
DEFINE_UNLOCK(Unlock, "6UnlockEv")
DEFINE_UNLOCK(ReaderUnlock, "12ReaderUnlockEv")
DEFINE_WHEN(Await, "5AwaitERKNS0_9ConditionE")
DEFINE_WHEN(LockWhen, "8LockWhenERKNS0_9ConditionE")
DEFINE_WHEN(ReaderLockWhen, "14ReaderLockWhenERKNS0_9ConditionE")
DEFINE_WHEN_OR(AwaitWithTimeout,
               "16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE", Duration)
DEFINE_WHEN_OR(AwaitWithDeadline,
               "17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE", Time)
DEFINE_WHEN_OR(LockWhenWithTimeout,
               "19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE",
               Duration)
DEFINE_WHEN_OR(LockWhenWithDeadline,
               "20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE", Time)

void CondVar::Wait(Mutex* mutex) {
  ORIGINAL(CondVar, "4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  __tsan_release(mutex);
  original(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  ORIGINAL(CondVar, "15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE",
           bool(CondVar*, Mutex*, Duration));
  __tsan_release(mutex);
  const bool value = original(this, mutex, timeout);
  __tsan_acquire(mutex);
  return value;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  ORIGINAL(CondVar, "16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE",
           bool(CondVar*, Mutex*, Time));
  __tsan_release(mutex);
  const bool value = original(this, mutex, deadline);
  __tsan_acquire(mutex);
  return value;
}

void Notification::Notify() {
  ORIGINAL(Notification, "6NotifyEv", void(Notification*));
  __tsan_release(this);
  original(this);
}

void Notification::WaitForNotification() const {
  ORIGINAL(const Notification, "19WaitForNotificationEv",
           void(const Notification*));
  original(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  ORIGINAL(const Notification,
           "30WaitForNotificationWithTimeoutENS0_8DurationE",
           bool(const Notification*, Duration));
  const bool value = original(this, timeout);
  __tsan_acquire(const_cast<Notification*>(this));
  return value;
}

}  // namespace absl
