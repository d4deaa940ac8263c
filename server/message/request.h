// Decodes a Forward or Backward. Every check on a request is here, in
// tensor_codec.h or in tensor_type.h.

#ifndef ACTSERVE_SERVER_MESSAGE_REQUEST_H_
#define ACTSERVE_SERVER_MESSAGE_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/message/split_request.h"
#include "server/state/programs.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"
#include "server/state/split_inputs.h"
#include "server/state/tensor_type.h"

namespace actserve {

// The methods whose calls are requests. What one asks for is the direction of
// its program.
enum class TensorMethod : uint8_t { kForward, kBackward };

// A request without its tensors, after all checks.
struct TensorRequest {
  std::shared_ptr<const RegisteredActivation> activation;
  // The type of the result, and of every tensor but `broadcasts`, `split` and
  // their gradients.
  TensorType type;
  // If one tensor holds all inputs. So do then tangents, cotangents and
  // gradients: input 0 stands for all of them in `variables`, and program's
  // sets have all inputs or none.
  std::optional<SplitInputs> split;
  ProgramKey program;
  // The variables of `partials` or `wrt` in the order of the request, as
  // indices into the activation's inputs and then parameters; grad_output is
  // one more, the last. The program's outputs are in rising order instead, and
  // may be for more variables: program.variables.
  std::vector<int> variables;
  // One per parameter of the activation, then the numbers of `cotangents` or
  // `tangents`, in the order of the program.
  std::vector<double> parameters;
  // For each tensor input of the program, in its order, the index of its
  // payload; kNoPayload for one of a residual, and for an upstream gradient
  // that is left out.
  std::vector<int> payloads;
  static constexpr int kNoPayload = -1;
  // In the order of the program, whose last inputs they are: those of inputs
  // and parameters, then cotangents or tangents, which broadcast likewise.
  std::vector<BroadcastTensor> broadcasts;
  // Along which rows run, from 0; nullopt for an activation that reads none.
  std::optional<int> axis;
  // The place of the first element in the tensor that was cut into requests.
  int64_t element_offset = 0;

  // Forward: how long to keep a residual, if one is wanted.
  std::optional<absl::Duration> residual_lease;
  // Backward by handle: owns the memory of the inputs.
  std::shared_ptr<const Residual> residual;

  int num_inputs() const {
    return static_cast<int>(activation->activation().inputs().size());
  }
  // The index of grad_output among the variables.
  int grad_output() const {
    return num_inputs() +
           static_cast<int>(activation->activation().parameters().size());
  }
  bool IsParameter(int variable) const {
    return variable >= num_inputs() && variable < grad_output();
  }
  // A parameter that is one number, and so is its gradient.
  bool IsNumber(int variable) const {
    return IsParameter(variable) && BroadcastOf(variable) == nullptr;
  }
  // nullptr for what does not broadcast.
  const BroadcastTensor* BroadcastOf(int variable) const;
  // Of the gradient with respect to `variable`, which is not IsNumber().
  const TensorType& TypeOf(int variable) const;
  // Of each tensor, along `axis`.
  Rows rows() const;
  // Tensors of type `type` that the gradients with respect to `variables` are
  // as large as.
  int64_t NumGradientTensors() const;
};

// A request that passed every check.
struct DecodedRequest {
  TensorRequest request;
  // One per tensor input of the program, except those that are resident on the
  // device (see Residual); with `split`, one for all inputs.
  TensorInputs inputs;
};

// Limits on one request.
struct RequestLimits {
  SplitLimits split;
  TensorLimits tensor;
  // Limit on the bytes of a response.
  int64_t message_bytes = 0;
  absl::Duration default_lease;
  absl::Duration max_lease;
};

// The inputs point into the memory of `split`, or into that of the request's
// residual. Activations and residuals are those that `tenant` sees. Both
// functions return:
//   InvalidArgument  the request is wrong; the message says where
//   NotFound         ACTIVATION_UNKNOWN or RESIDUAL_GONE
absl::StatusOr<DecodedRequest> DecodeForward(const SplitRequest& split,
                                             const RequestLimits& limits,
                                             Registry& registry,
                                             const Tenant* tenant = nullptr);
absl::StatusOr<DecodedRequest> DecodeBackward(const SplitRequest& split,
                                              const RequestLimits& limits,
                                              Registry& registry,
                                              Residuals& residuals,
                                              const Tenant* tenant = nullptr);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_REQUEST_H_
