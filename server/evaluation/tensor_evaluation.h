#ifndef ACTSERVE_SERVER_EVALUATION_TENSOR_EVALUATION_H_
#define ACTSERVE_SERVER_EVALUATION_TENSOR_EVALUATION_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/evaluation/evaluation.h"
#include "server/message/response.h"
#include "server/message/split_request.h"

namespace actserve {

// A Forward or Backward whose whole message is there, from its bytes to the
// bytes of its response:
//
//   Run: split -> plan known --> Evaluation --> encode -> Respond
//             \-> decode ------/            \-> Fail
//
// A door derives from this class; it brings the bytes, and takes them away.
class TensorEvaluation : protected Evaluation {
 protected:
  // As Evaluation's.
  TensorEvaluation(TensorMethod method, const ServingParts& parts,
                   absl::Time received, absl::Time deadline)
      : Evaluation(parts, received, deadline), method_(method) {}

  // Starts the request whose message is the concatenation of `message`, which
  // must stay valid until Respond() or Fail(); they may be called before it
  // returns. Call it once.
  void Run(absl::Span<const Fragment> message);
  // The same for a request that is split already, or was put together from a
  // message of another protocol. What its payloads refer to must stay valid.
  void Run(TensorMethod method, SplitRequest split);

  // Limit on the bytes of the response.
  virtual int64_t MaxResponseBytes() const {
    return parts().limits.message_bytes;
  }

  // Instead of Evaluation::Succeed(). `stages` are the times on the device.
  virtual void Respond(EncodedResponse response, const Stages& stages) = 0;

  TensorMethod method() const { return method_; }

 private:
  absl::StatusOr<DecodedRequest> Decode();
  void OnPlan(const std::shared_ptr<CallPlan>& plan) final;
  // Encodes the response of the contract; a door of another protocol overrides
  // it instead of Respond().
  void Succeed(TensorResult result) override;

  TensorMethod method_;
  SplitRequest split_;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_TENSOR_EVALUATION_H_
