// Translates a ModelInferRequest into the request of the native contract that
// asks for the same: which then passes the checks of every request.

#ifndef ACTSERVE_SERVER_KSERVE_INFER_REQUEST_H_
#define ACTSERVE_SERVER_KSERVE_INFER_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "inference/grpc_service.pb.h"
#include "kernels/device/device.h"
#include "server/kserve/model.h"
#include "server/message/request.h"
#include "server/message/split_request.h"

namespace actserve::kserve {

// Where a tensor lies in shared memory.
struct RegionRange {
  std::string region;
  // In the region.
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

struct InferRequest {
  Model model;
  TensorMethod method = TensorMethod::kForward;
  // A v1::ForwardRequest or v1::BackwardRequest, and its tensors where they
  // are.
  SplitRequest split;
  // For each of its payloads its place in raw_input_contents; kNotRaw: it is
  // not there.
  static constexpr int kNotRaw = -1;
  std::vector<int> raw_places;
  // How long the client wants to wait.
  std::optional<absl::Duration> timeout;
  // Where each output is wanted; nullopt: in the response. Empty: all are.
  std::vector<std::optional<RegionRange>> output_regions;
};

// Gets the bytes of a tensor in shared memory; they must stay valid as long as
// the request is.
using ReadRegion = absl::FunctionRef<absl::StatusOr<Fragment>(
    const RegionRange& range, absl::string_view what)>;

// `message` is the metadata of `raw`, whose payloads are raw_input_contents;
// both must outlive the result, which refers to them. What the native request
// says is checked when that is decoded, and not here.
//   InvalidArgument  the request is wrong; the message says where
//   NotFound         no such model, or region
absl::StatusOr<InferRequest> Translate(
    const inference::ModelInferRequest& message, const SplitRequest& raw,
    Registry& registry, const Tenant* tenant, ReadRegion read_region);

}  // namespace actserve::kserve

#endif  // ACTSERVE_SERVER_KSERVE_INFER_REQUEST_H_
