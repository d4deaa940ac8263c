#ifndef ACTSERVE_SERVER_TESTING_RING_PEER_H_
#define ACTSERVE_SERVER_TESTING_RING_PEER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actserve/v1/shared_memory.pb.h"
#include "actserve/v1/status.pb.h"
#include "proto/shared_memory/control.h"
#include "proto/shared_memory/ring.h"

namespace actserve::testing {

// A memfd of that size; `seals` as for F_ADD_SEALS, 0: none.
shared_memory::Descriptor MakeRegion(size_t size_bytes, int seals);

// A client of a server's shared memory that keeps no rule of
// proto/shared_memory/ring.h unless a test does. One thread.
class RingPeer {
 public:
  // Connects to the control socket of a server at "unix:PATH"; says nothing.
  explicit RingPeer(const std::string& unix_address);
  ~RingPeer();

  // True if the connection was made, and the server has not closed it.
  bool IsConnected() const;
  // Waits until the server has closed it; false if it has not within 10 s.
  bool AwaitClosed() const;

  // Sends bytes, and a descriptor unless it is -1.
  void Send(absl::string_view packet, int fd = -1);
  // Sends a request and returns the reply, which may bring the ring; nullopt:
  // the server closed the connection, or said nothing for 10 s.
  std::optional<v1::ControlReply> Ask(const v1::ControlRequest& request,
                                      int fd = -1);
  // Gets a ring; false if the server refuses.
  bool Greet();
  // Returns the number of a region, or 0.
  uint32_t Offer(int fd);

  shared_memory::Ring& ring() { return *ring_; }
  // Publishes a slot, whatever is in it.
  void Publish(uint32_t index);
  // Publishes slot `index` with that request, and waits for the reply; false if
  // none comes within 10 s.
  bool Call(uint32_t index, const shared_memory::Request& request);
  // The message in the reply of a slot, if all of it is there.
  std::string MessageOf(uint32_t index);
  // The error in the reply of a slot; OK: the reply is none.
  v1::Status ErrorOf(uint32_t index);

  // A Forward of relu: its message is in the slot but for the tensor, which is
  // float32 in the last piece.
  shared_memory::Request ReluRequest(uint32_t index,
                                     const shared_memory::Piece& tensor);

 private:
  shared_memory::Descriptor socket_;
  shared_memory::Ring* ring_ = nullptr;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_TESTING_RING_PEER_H_
