#ifndef ACTSERVE_SERVER_KSERVE_INFERENCE_H_
#define ACTSERVE_SERVER_KSERVE_INFERENCE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "inference/grpc_service.pb.h"
#include "server/evaluation/tensor_evaluation.h"
#include "server/kserve/infer_request.h"
#include "server/kserve/infer_response.h"
#include "server/kserve/known_requests.h"
#include "server/kserve/regions.h"
#include "server/kserve/statistics.h"
#include "server/message/response.h"
#include "server/message/tensor_result.h"
#include "server/state/buffer_pool.h"

namespace actserve::kserve {

// What all requests of this protocol share.
struct InferState {
  Statistics& statistics;
  KnownRequests& known;
  // Null: no memory is shared.
  Regions* regions = nullptr;
};

// One ModelInferRequest, from its bytes to those of its response:
//
//   Infer: split -> translate -> TensorEvaluation --> encode -> Respond
//                                                \-> Finish
//
// A door derives from this class; it brings the bytes, and takes them away.
class Inference : protected TensorEvaluation {
 protected:
  Inference(const ServingParts& parts, const InferState& state,
            bool is_streamed, absl::Time received, absl::Time deadline)
      : TensorEvaluation(TensorMethod::kForward, parts, received, deadline),
        state_(state),
        is_streamed_(is_streamed) {}

  // As TensorEvaluation::Run().
  void Infer(absl::Span<const Fragment> bytes);

  // Exactly one of TensorEvaluation's Respond() and this is called, in the way
  // of Evaluation's.
  virtual void Refuse(const absl::Status& status) = 0;

  // Of the request; empty if it has none, or could not be read.
  const std::string& id() const { return id_; }

 private:
  // Runs the request in `raw_`, if its like is known.
  bool RunKnown();
  absl::StatusOr<InferRequest> Read();
  // Makes `known_` of a request that was read.
  void Remember(const InferRequest& request);
  absl::StatusOr<Fragment> ReadRegion(const RegionRange& range,
                                      absl::string_view what);
  // Copies the outputs that are wanted there into shared memory.
  absl::Status WriteRegions(std::vector<InferOutput>& outputs);
  void Succeed(TensorResult result) final;
  void Fail(const absl::Status& status) final;
  // No request asks for a residual, which would need the inputs.
  std::shared_ptr<const void> ReleaseInputs() final { return nullptr; }
  bool OwnsInputs() const final { return false; }

  const InferState state_;
  const bool is_streamed_;
  // What the request in evaluation refers to.
  SplitRequest raw_;
  inference::ModelInferRequest message_;
  std::vector<Buffer> from_regions_;

  std::string id_;
  // Null until the request was read. Without a head the response was not made
  // yet; then it is this request's own.
  std::shared_ptr<const KnownRequest> known_;
  std::shared_ptr<KnownRequest> new_;
  std::vector<std::optional<RegionRange>> output_regions_;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_INFERENCE_H_
