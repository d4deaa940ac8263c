// The parameters of requests, inputs and outputs: numbers and names under names
// of the protocol, or of the activation.

#ifndef ACTSERVE_SERVER_KSERVE_INFER_PARAMETERS_H_
#define ACTSERVE_SERVER_KSERVE_INFER_PARAMETERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/map.h"
#include "inference/grpc_service.pb.h"
#include "server/kserve/infer_request.h"

namespace actserve::kserve {

using ParameterMap =
    google::protobuf::Map<std::string, inference::InferParameter>;

// The parameters of a request.
struct RequestParameters {
  std::optional<int32_t> axis;
  std::optional<int32_t> split_axis;
  int64_t element_offset = 0;
  std::optional<absl::Duration> timeout;
  // All others, which the activation must have.
  absl::btree_map<std::string, double> numbers;
};

// `priority` is accepted and has no effect.
//   InvalidArgument  a value is of the wrong type, or out of its range; or the
//                    request is one of a sequence
absl::StatusOr<RequestParameters> DecodeRequestParameters(
    const ParameterMap& parameters);

// The parameters of an input or output. `what` names them in errors:
// "inputs[0]".
struct TensorParameters {
  // Of a parameter that is a tensor.
  std::optional<int32_t> axis;
  std::optional<RegionRange> region;
};
//   InvalidArgument  there is another one, or a value is wrong
absl::StatusOr<TensorParameters> DecodeTensorParameters(
    absl::string_view what, const ParameterMap& parameters);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_INFER_PARAMETERS_H_
