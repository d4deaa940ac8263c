#ifndef ACTSERVE_SERVER_TESTING_HTTP2_CLIENT_H_
#define ACTSERVE_SERVER_TESTING_HTTP2_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actserve::testing {

// One HTTP/2 connection that does what a client of gRPC never does: it stops in
// the middle of a message, cuts it into frames of any size, leaves answers
// unread, opens more streams than it may. Otherwise it obeys the protocol: the
// windows of the server, its SETTINGS and its PINGs.
//
// It looks at what the server sends only during its own calls, and knows of an
// answer only whether it ended. Not thread-safe.
class Http2Client {
 public:
  struct Options {
    // What the server may send of each answer, for good. 0: it gets rid of no
    // byte of any answer; only the status of a call that failed.
    uint32_t window_bytes = 65535;
    // Whether it says that it obeys the server's SETTINGS. The server does not
    // hold a client to its limit of streams before that.
    bool ack_settings = true;
    // How long the server may take nothing before a call here gives up.
    absl::Duration patience = absl::Seconds(2);
  };
  // The most that SETTINGS_MAX_FRAME_SIZE allows without asking.
  static constexpr size_t kMaxFrameBytes = 16384;

  // Connects to "127.0.0.1:port" or "unix:/path".
  //   Unavailable  nobody listens there
  static absl::StatusOr<std::unique_ptr<Http2Client>> Connect(
      const std::string& address, const Options& options);
  // Closes the connection at once.
  ~Http2Client();

  // The errors of the methods below:
  //   Unavailable       the server closed the connection, or said GOAWAY
  //   Cancelled         it reset the stream; the message has the code
  //   DeadlineExceeded  it took nothing for as long as options.patience

  // Starts a call of `method`, "/service/method". Returns its stream.
  absl::StatusOr<uint32_t> StartCall(absl::string_view method);

  // Sends more of a call's body, in DATA frames of at most `frame_bytes`, as
  // the windows allow. The last part ends the stream.
  absl::Status Send(uint32_t stream, absl::string_view body, bool is_last,
                    size_t frame_bytes = kMaxFrameBytes);

  // Starts a call and sends all of `message`.
  absl::Status Call(absl::string_view method, absl::string_view message,
                    size_t frame_bytes = kMaxFrameBytes);

  // Reads what the server sends until nothing comes for `quiet`.
  absl::Status ReadFor(absl::Duration quiet);

  // Streams that the server ended, with or without an answer, or reset.
  int num_ended() const { return num_ended_; }
  int num_reset() const { return num_reset_; }

 private:
  struct Stream {
    // What the server takes of it.
    int64_t window_bytes = 0;
    // The code with which it was reset.
    uint32_t reset_code = 0;
    bool is_reset = false;
  };

  Http2Client(int fd, const Options& options) : fd_(fd), options_(options) {}

  // Appends a frame to what is to be sent.
  void Append(uint8_t type, uint8_t flags, uint32_t stream,
              absl::string_view payload);
  // Sends all that was appended.
  absl::Status Flush();
  // Waits until the socket is readable, or also writable, and reads.
  // DeadlineExceeded if neither happens in time.
  absl::Status Await(bool also_writable, absl::Duration timeout);
  absl::Status ReadSocket();
  absl::Status OnFrame(uint8_t type, uint8_t flags, uint32_t stream,
                       absl::string_view payload);
  void OnSettings(absl::string_view payload);

  const int fd_;
  const Options options_;
  std::string to_send_;
  std::string received_;
  uint32_t next_stream_ = 1;
  int64_t window_bytes_ = 65535;
  int64_t initial_window_bytes_ = 65535;
  // Those whose body was not sent to its end.
  absl::flat_hash_map<uint32_t, Stream> streams_;
  int num_ended_ = 0;
  int num_reset_ = 0;
};

// A message with the prefix of gRPC: not compressed, and `size_bytes` long,
// even where `message` is shorter.
std::string WithPrefix(absl::string_view message, size_t size_bytes);

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_HTTP2_CLIENT_H_
