#ifndef ACTSERVE_SERVER_KSERVE_INFERENCE_H_
#define ACTSERVE_SERVER_KSERVE_INFERENCE_H_

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
#include "server/kserve/regions.h"
#include "server/kserve/statistics.h"
#include "server/message/response.h"
#include "server/message/tensor_result.h"
#include "server/state/buffer_pool.h"

namespace actserve::kserve {

// What all requests of this protocol share.
struct InferState {
  Statistics& statistics;
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

  // What was asked; empty if it could not be read.
  const inference::ModelInferRequest& message() const { return message_; }

 private:
  absl::StatusOr<InferRequest> Read(absl::Span<const Fragment> bytes);
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

  bool has_model_ = false;
  std::vector<std::optional<RegionRange>> output_regions_;
};

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_INFERENCE_H_
