#ifndef ACTSERVE_CLIENT_CPP_RAW_STUB_H_
#define ACTSERVE_CLIENT_CPP_RAW_STUB_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cpp/cancellation.h"
#include "client/cpp/message/split_response.h"
#include "client/cpp/stream/exchange.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/slice.h"
#include "grpcpp/support/status.h"

namespace actserve {

// The metadata by which a proxy can keep a client on one replica.
inline constexpr char kSessionKey[] = "x-actserve-session";

// Makes calls. Requests are sent from the caller's memory, and replies
// are read where gRPC received them.
//
// gRPC may hold on to a request after its call has failed: with a deadline or
// a cancellation the status arrives while the transport still has the bytes
// queued. Call() returns only when it has let go of them, so the caller may
// free or change them whatever the outcome.
//
// Thread-safe; each call blocks its own thread.
class RawStub {
 public:
  struct Reply {
    grpc::Status status;
    // The reply's bytes, in order.
    std::vector<grpc::Slice> slices;
    // True if an error is the server's own: it has the trailer
    // kAnsweredTrailer.
    bool answered = false;
    // How long the server asked the client to wait before a retry.
    std::optional<absl::Duration> retry_pushback;
  };

  // Names in lower case, values of printable ASCII.
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Every call carries `session` as metadata kSessionKey, unless it is empty.
  explicit RawStub(std::shared_ptr<grpc::Channel> channel,
                   std::string session = "");
  ~RawStub();

  // Sends the concatenation of `parts` to `method` ("/package.Service/Name").
  // `deadline` may be infinite or past; `cancellation` may be null. A `token`
  // goes along unless it is empty.
  Reply Call(const std::string& method, absl::Span<const ByteSpan> parts,
             absl::Time deadline, Cancellation* cancellation = nullptr,
             const Headers& headers = {}, const std::string& token = "");

  // The same for the stream of `exchange`, which it begins again; the reply is
  // the unary one, and refers to the outputs of `exchange`. `service` is
  // "/package.Service/".
  Reply Stream(const std::string& service, StreamExchange& exchange,
               absl::Time deadline, Cancellation* cancellation = nullptr,
               const Headers& headers = {}, const std::string& token = "");

  // Waits for `pause`, or until `cancellation`, which may be null, is
  // cancelled; returns true if it is. gRPC reconnects meanwhile: without a
  // thread that waits for the channel it reads what a new connection brings
  // only every 5 s.
  bool Pause(absl::Duration pause, const Cancellation* cancellation);

  // The number of request parts that gRPC holds now. A call that has returned
  // has none.
  int num_parts_on_loan() const { return num_on_loan_; }

 private:
  // What every call says of itself.
  void Prepare(absl::Time deadline, const Headers& headers,
               const std::string& token, grpc::ClientContext* context) const;
  // A queue that only the calling thread waits on, so that it polls the
  // socket itself: no hand-over between threads.
  std::unique_ptr<grpc::CompletionQueue> BorrowQueue();
  void ReturnQueue(std::unique_ptr<grpc::CompletionQueue> queue);

  const std::string session_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  std::atomic<int> num_on_loan_ = 0;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<grpc::CompletionQueue>> idle_queues_
      ABSL_GUARDED_BY(mutex_);
};

// Makes a channel to `address` with settings for tensors: no limit on the
// message size, no retries (the caller retries), a quick reconnect. `authority`
// is the name by which the server is called, where `address` was made from one;
// empty: `address` tells it. Encrypts by `credentials`, unless they are null or
// `address` is a unix socket; the server's certificate must then have
// `tls_server_name`, or if that is empty, the name by which it is called.
// Channels with the same arguments share a connection, unless they have
// `own_connection`.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::string& authority = "",
    const std::shared_ptr<grpc::ChannelCredentials>& credentials = nullptr,
    const std::string& tls_server_name = "", bool own_connection = false);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_RAW_STUB_H_
