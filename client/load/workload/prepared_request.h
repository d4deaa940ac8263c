#ifndef ACTSERVE_CLIENT_LOAD_WORKLOAD_PREPARED_REQUEST_H_
#define ACTSERVE_CLIENT_LOAD_WORKLOAD_PREPARED_REQUEST_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/client.h"
#include "client/cpp/raw_stub.h"
#include "client/load/workload/hostile.h"
#include "client/load/workload/request_spec.h"
#include "client/load/workload/tensors.h"

namespace actserve {

// A request of one shape, ready to be sent: its tensors are made, its
// activation is registered, and the right answers are known.
//
// Thread-safe.
class PreparedRequest {
 public:
  // `client` sends it. Calls of `local`, an engine in this process, make the
  // right answers; null: none are known. The tensors follow from `seed`.
  // Errors are those of the calls.
  static absl::StatusOr<std::unique_ptr<PreparedRequest>> Make(
      const RequestSpec& spec, const std::vector<int64_t>& shape,
      Client& client, bool in_place, Client* local, uint64_t seed);

  // The number of different tensors that it has.
  int num_variants() const { return static_cast<int>(variants_.size()); }
  // What a call sends and receives, without metadata; and the elements of the
  // result.
  int64_t bytes_sent() const { return bytes_sent_; }
  int64_t bytes_received() const { return bytes_received_; }
  int64_t elements() const { return elements_; }
  // True if Verify() can tell.
  bool is_known() const { return !right_.empty(); }

  // Memory for the answer to one call, for one caller at a time.
  struct Answer {
    std::vector<TensorMemory> tensors;
    // True if the server had not kept the residual.
    bool resent = false;
  };
  std::unique_ptr<Answer> BorrowAnswer();
  void ReturnAnswer(std::unique_ptr<Answer> answer);

  // Blocks until the call has ended, or all calls of a train step.
  absl::Status Call(int variant, Answer& answer);
  // Returns whether the answer is that of this process, bit for bit.
  bool Verify(int variant, const Answer& answer) const;

 private:
  struct Variant {
    std::vector<TensorMemory> inputs;
    TensorMemory grad_output;
  };

  PreparedRequest(const RequestSpec& spec, const std::vector<int64_t>& shape,
                  Client& client, bool in_place)
      : spec_(spec),
        shape_(shape),
        client_(client),
        in_place_(in_place),
        axis_(spec.axis) {}

  absl::Status Prepare(uint64_t seed, Client* local);
  absl::Status Register(Client& client, std::string& id) const;
  std::unique_ptr<Answer> NewAnswer(Client* in_place) const;
  absl::Status CallOn(Client& client, const std::string& id, int variant,
                      Answer& answer);
  absl::Status CallForward(Client& client, const std::string& id,
                           const Variant& variant, Answer& answer);
  absl::Status CallBackward(Client& client, const std::string& id,
                            const Variant& variant, const std::string& residual,
                            Answer& answer);
  absl::Status CallRegister(Client& client);
  absl::Status CallEcho(const Variant& variant, Answer& answer);
  absl::Status CallHostile(Client& client, int variant);
  bool IsStep() const;
  bool HasTensors() const;

  const RequestSpec spec_;
  const std::vector<int64_t> shape_;
  Client& client_;
  const bool in_place_;
  std::optional<int> axis_;
  size_t size_bytes_ = 0;  // of a tensor
  std::string id_;
  std::vector<std::string> input_names_;
  std::vector<Variant> variants_;
  std::vector<std::unique_ptr<Answer>> right_;
  std::vector<HostileCall> hostile_;
  std::unique_ptr<RawStub> echo_;
  std::string echo_head_;
  int64_t bytes_sent_ = 0;
  int64_t bytes_received_ = 0;
  int64_t elements_ = 0;
  std::atomic<uint64_t> num_registered_ = 0;
  uint64_t seed_ = 0;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Answer>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_WORKLOAD_PREPARED_REQUEST_H_
