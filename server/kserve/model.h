// Models: what the activations are called by clients of this protocol, and what
// their tensors are called.

#ifndef ACTSERVE_SERVER_KSERVE_MODEL_H_
#define ACTSERVE_SERVER_KSERVE_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/identity/tenant.h"
#include "server/message/request.h"
#include "server/state/registry.h"

namespace actserve::kserve {

// An activation is one model, its gradient another one: "gelu" and
// "gelu_backward", or "sha256:..." and "sha256:..._backward".
inline constexpr absl::string_view kBackwardSuffix = "_backward";
// Every model has this version only.
inline constexpr char kModelVersion[] = "1";
// The output of an activation.
inline constexpr char kOutputName[] = "y";

struct Model {
  std::shared_ptr<const RegisteredActivation> registered;
  bool is_backward = false;

  const Activation& activation() const { return registered->activation(); }
};

// The model of that name that `tenant` sees; an empty version is any.
//   NotFound  ACTIVATION_UNKNOWN
absl::StatusOr<Model> FindModel(const std::string& name,
                                const std::string& version, Registry& registry,
                                const Tenant* tenant);

// How the native service calls the activation of the model `name`.
std::string ActivationNameOf(const Model& model, absl::string_view name);

// The input of a gradient that holds the gradient of the loss with respect to
// the output: "dy", or "dL/dy" if an input or parameter of the text is called
// so.
std::string GradOutputInputOf(const Activation& activation);

// "dx", for the gradient with respect to x.
std::string GradientNameOf(absl::string_view variable);
// The name for a variable of a Backward.
std::string GradientNameOf(const TensorRequest& request, int variable);

// The variables that a gradient has outputs for, in their order: inputs, or "*"
// if one tensor holds them all, then parameters.
std::vector<std::string> DifferentiableNames(const Activation& activation,
                                             bool is_split);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_MODEL_H_
