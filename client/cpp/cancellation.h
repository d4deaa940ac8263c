#ifndef ACTSERVE_CLIENT_CPP_CANCELLATION_H_
#define ACTSERVE_CLIENT_CPP_CANCELLATION_H_

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"

namespace actserve {

// Cancels calls from another thread: the running ones and those that start
// later. They return Cancelled. A cancelled object stays cancelled; make a new
// one for new calls.
//
// Thread-safe. Must outlive the calls that use it.
class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;

  // Waits for Cancel(), at most `timeout`. Returns true if it was called.
  bool AwaitFor(absl::Duration timeout) const;

 private:
  friend class RawStub;

  // Cancel() reaches `context` from Add() to Remove().
  void Add(grpc::ClientContext& context);
  void Remove(grpc::ClientContext& context);

  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<grpc::ClientContext*> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_CANCELLATION_H_
