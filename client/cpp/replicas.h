// The servers that a client shares its calls over.

#ifndef ACTSERVE_CLIENT_CPP_REPLICAS_H_
#define ACTSERVE_CLIENT_CPP_REPLICAS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cpp/balance/chooser.h"
#include "client/cpp/balance/resolver.h"
#include "client/cpp/cancellation.h"
#include "client/cpp/connect/channel_security.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/raw_stub.h"

namespace actserve {

// When a call must end.
struct Bounds {
  absl::Time deadline;
  Cancellation* cancellation = nullptr;
  // Limit on the rounds of attempts of each RPC that the call needs, and on its
  // registrations.
  int max_attempts;
  // What every attempt says of the caller's trace.
  RawStub::Headers headers = {};
  // Of CallOptions.
  std::optional<void*> device_stream = std::nullopt;
};

// One server, with channels of its own, at least one.
class Replica {
 public:
  // `authority` as in MakeChannel(). A unix socket leads to one server, and is
  // not told the session, which costs a small call 5 % of its time.
  Replica(std::string address, const std::string& authority,
          const std::string& session, const ChannelSecurity& security = {},
          int num_channels = 1);

  const std::string& address() const { return address_; }
  // Of no other replica in this process; not 0.
  uint64_t id() const { return id_; }

 private:
  friend class Replicas;

  struct Channel {
    explicit Channel(std::shared_ptr<grpc::Channel> channel,
                     const std::string& session)
        : stub(std::move(channel), session) {}
    RawStub stub;
    std::atomic<int> num_calls = 0;
  };
  // That with the fewest calls.
  Channel& LeastBusy();

  const uint64_t id_;
  const std::string address_;
  std::vector<std::unique_ptr<Channel>> channels_;
  Standing standing_;  // guarded by the mutex of Replicas
};
using ReplicaPtr = std::shared_ptr<Replica>;

// Sends each call to one replica, and again, to that or another one, where that
// can help: client/README.md has the rules, client/python has the same in
// _replicas.py. Thread-safe.
class Replicas {
 public:
  // `address` passed CheckAddress(). Looks nothing up and connects to nothing.
  // Each replica gets so many channels.
  explicit Replicas(std::string_view address, LookUp look_up = LookUpBySystem,
                    ChannelSecurity security = {}, int num_channels = 1);

  // One call, repeated while nobody takes it. `place` is the replica to ask
  // first, or null; it becomes the one that answered last, with a reply or an
  // error.
  absl::StatusOr<RawStub::Reply> Call(const std::string& method,
                                      absl::Span<const ByteSpan> parts,
                                      const Bounds& bounds, ReplicaPtr& place);
  // The same for a stream, which each attempt begins again. `service` as in
  // RawStub::Stream().
  absl::StatusOr<RawStub::Reply> Stream(const std::string& service,
                                        StreamExchange& exchange,
                                        const Bounds& bounds,
                                        ReplicaPtr& place);
  // One attempt of a call, at that replica.
  absl::StatusOr<RawStub::Reply> CallOnce(const std::string& method,
                                          absl::Span<const ByteSpan> parts,
                                          const Bounds& bounds,
                                          const ReplicaPtr& replica);

  // All replicas; waits for their names.
  //   Unavailable  no name is resolved, and no address is given
  absl::StatusOr<std::vector<ReplicaPtr>> All(const Bounds& bounds);
  // The replica with that id; null: there is none any more.
  ReplicaPtr Find(uint64_t id);
  // The parts of the address that are names without an address so far.
  std::vector<std::string> NamesNotFound();
  // What calls prove by who they are from: a token, or "".
  std::string Token() const;
  // Why there is none.
  absl::Status NameError() const;

  // False if there is one replica, and never another.
  bool may_be_several() const { return may_be_several_; }

 private:
  // Makes one attempt of a call with a token.
  using Try = absl::FunctionRef<RawStub::Reply(RawStub&, const std::string&)>;
  // What the address lists: a server, or the name of several.
  struct Part {
    std::string address;
    // The index of the name in `answers_`.
    std::optional<size_t> name;
  };

  // Takes what the names stand for now.
  void Refresh();
  // Makes `replicas_` from `answers_`; those known already stay as they are.
  void Update() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The replica for an attempt, now in flight; null if all were `tried`.
  ReplicaPtr Begin(absl::Span<const ReplicaPtr> tried,
                   const ReplicaPtr& preferred, Standing::Attempt& attempt);
  // Makes that attempt and ends it. A token that is refused is read again once.
  RawStub::Reply Send(Try attempt_once, const Bounds& bounds, Replica& replica,
                      const Standing::Attempt& attempt);
  // Makes attempts while nobody takes the call.
  absl::StatusOr<RawStub::Reply> Repeat(Try attempt_once, const Bounds& bounds,
                                        ReplicaPtr& place);
  // Waits for a lookup that runs now.
  void AwaitNames(const Bounds& bounds);
  // Waits, while `replica`, unless null, reconnects. True if it was cancelled.
  static bool Pause(absl::Duration pause, Replica* replica,
                    const Bounds& bounds);
  double DrawChance();

  const std::string session_;
  const ChannelSecurity security_;
  const int num_channels_;
  std::vector<Part> parts_;
  bool may_be_several_ = false;
  std::unique_ptr<Resolver> resolver_;  // null: there is no name
  absl::Mutex mutex_;
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  Resolver::Answers answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<ReplicaPtr> replicas_ ABSL_GUARDED_BY(mutex_);
  size_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_REPLICAS_H_
