#ifndef ACTSERVE_SERVER_KSERVE_DATATYPE_H_
#define ACTSERVE_SERVER_KSERVE_DATATYPE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "inference/model_config.pb.h"
#include "kernels/base/dtype.h"

namespace actserve::kserve {

// The protocol's name of an element type: "FP32".
absl::string_view DatatypeOf(DType dtype);

// The element type of that name, if tensors may have it.
std::optional<DType> DTypeOf(absl::string_view datatype);

// The same in a model's configuration.
inference::DataType ConfigTypeOf(DType dtype);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_DATATYPE_H_
