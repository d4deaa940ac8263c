#include "server/kserve/model.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/base/text.h"
#include "proto/all_inputs_name.h"
#include "proto/grad_output_name.h"
#include "server/message/errors.h"

namespace actserve::kserve {
namespace {

// The text is that of Triton; the reason is ours.
absl::Status UnknownModelError(const std::string& name,
                               const std::string& version) {
  absl::Status status = absl::NotFoundError(absl::StrCat(
      "Request for unknown model: ", Quoted(name),
      version.empty() ? "" : absl::StrCat(" version ", Quoted(version)),
      " is not found"));
  ActivationUnknownError(name).ForEachPayload(
      [&](absl::string_view type, const absl::Cord& payload) {
        status.SetPayload(type, payload);
      });
  return status;
}

}  // namespace

absl::StatusOr<Model> FindModel(const std::string& name,
                                const std::string& version, Registry& registry,
                                const Tenant* tenant) {
  if (version.empty() || version == kModelVersion) {
    if (auto found = registry.Find(name, tenant)) {
      return Model{std::move(found), /*is_backward=*/false};
    }
    absl::string_view stem = name;
    if (absl::ConsumeSuffix(&stem, kBackwardSuffix)) {
      if (auto found = registry.Find(stem, tenant)) {
        return Model{std::move(found), /*is_backward=*/true};
      }
    }
  }
  return UnknownModelError(name, version);
}

std::string ActivationNameOf(const Model& model, absl::string_view name) {
  if (model.is_backward) name.remove_suffix(kBackwardSuffix.size());
  return std::string(name);
}

std::string GradOutputInputOf(const Activation& activation) {
  constexpr char kName[] = "dy";
  const bool is_taken =
      std::ranges::find(activation.inputs(), kName) !=
          activation.inputs().end() ||
      std::ranges::find(activation.parameters(), kName, &Parameter::name) !=
          activation.parameters().end();
  return is_taken ? kGradOutputName : kName;
}

std::string GradientNameOf(absl::string_view variable) {
  return absl::StrCat("d", variable);
}

std::string GradientNameOf(const TensorRequest& request, int variable) {
  const Activation& activation = request.activation->activation();
  if (request.IsParameter(variable)) {
    return GradientNameOf(
        activation.parameters()[variable - request.num_inputs()].name);
  }
  return GradientNameOf(request.split.has_value()
                            ? kAllInputsName
                            : activation.inputs()[variable]);
}

std::vector<std::string> DifferentiableNames(const Activation& activation,
                                             bool is_split) {
  std::vector<std::string> names = activation.inputs();
  if (is_split) names.assign(1, kAllInputsName);
  const auto& parameters = activation.parameters();
  for (size_t p = 0; p < parameters.size(); ++p) {
    const std::string& name = parameters[p].name;
    if (!activation.IsSeed(p) && activation.HasGradient(name)) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace actserve::kserve
