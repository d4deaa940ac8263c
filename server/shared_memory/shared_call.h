#ifndef ACTSERVE_SERVER_SHARED_MEMORY_SHARED_CALL_H_
#define ACTSERVE_SERVER_SHARED_MEMORY_SHARED_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "proto/shared_memory/ring.h"
#include "server/evaluation/device_places.h"
#include "server/evaluation/tensor_evaluation.h"
#include "server/metrics/call_metrics.h"
#include "server/shared_memory/session.h"
#include "server/tracing/call_observer.h"

namespace actserve {

// The door of shared memory to an evaluation: one Forward or Backward that a
// client has put into its ring. It owns itself.
//
// Tensors in regions are read and written where they lie. A client that changes
// them meanwhile gets other numbers, and no other harm: nothing that the server
// goes by is read there.
class SharedCall final : private TensorEvaluation {
 public:
  // Starts the call of slot `index`. It ends in the session's Answer() or
  // Fail(), perhaps before this returns.
  static void Start(std::shared_ptr<Session> session, uint32_t index,
                    const shared_memory::Request& request);

 private:
  SharedCall(std::shared_ptr<Session> session, uint32_t index,
             const shared_memory::Request& request);
  ~SharedCall() override = default;

  // Who calls, and where the message and the outputs are.
  absl::Status Prepare(const shared_memory::Request& request);
  absl::StatusOr<std::byte*> Find(const shared_memory::Piece& piece);
  // Where the device has that place; null if it is none of a device's region.
  std::byte* OnDevice(const std::byte* place) const;
  CallerId caller() const override { return caller_; }
  bool IsCancelled() const override;
  std::byte* PlaceOf(size_t tensor, int64_t size_bytes) override;
  // All tensors on the device, or none.
  absl::Status PlaceTensors(WorkItem& item) override;
  // Nothing is sent.
  int64_t MaxResponseBytes() const override { return int64_t{1} << 50; }
  // The client's memory is not the server's to keep.
  bool OwnsInputs() const override { return false; }
  std::shared_ptr<const void> ReleaseInputs() override { return nullptr; }
  void Respond(EncodedResponse response, const Stages& stages) override;
  void Fail(const absl::Status& status) override;
  // Counts the call, which then is no more.
  void End(absl::StatusCode code);

  const std::shared_ptr<Session> session_;
  const uint32_t index_;
  CallerId caller_;
  bool is_counted_ = false;
  MemoryBudget::Charge charge_;
  // The bytes of the slot, as they were.
  std::string slot_bytes_;
  absl::string_view trace_;
  absl::InlinedVector<std::shared_ptr<const Region>, 4> regions_;
  absl::InlinedVector<Fragment, 8> message_;
  absl::InlinedVector<absl::Span<std::byte>, 4> outputs_;
  DevicePlaces device_places_;
  // A bit for each of the outputs there.
  uint32_t device_outputs_ = 0;
  // Null: nobody wants to know.
  std::unique_ptr<CallRecord> record_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_SHARED_MEMORY_SHARED_CALL_H_
