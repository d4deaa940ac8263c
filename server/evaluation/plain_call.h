#ifndef ACTSERVE_SERVER_EVALUATION_PLAIN_CALL_H_
#define ACTSERVE_SERVER_EVALUATION_PLAIN_CALL_H_

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "server/evaluation/serving_parts.h"
#include "server/message/request.h"

namespace actserve {

// Computes a call of which nothing is wanted but its one output: it is written
// to `outputs`, and no response is made. Such a call has none of the costs of a
// request, which are those of a thousand elements.
//
// Returns nullopt, and has done nothing, where more is needed than that: no
// plan of it is known, it has several outputs, broadcasts, or sums; the output
// has another size, or something else lies there; or it is not quick
// (Scheduler). The caller then takes the way of all requests.
//
// Errors are those of Device::Run(), and ResourceExhausted. Blocks;
// thread-safe.
std::optional<absl::Status> RunPlainCall(
    const ServingParts& parts, TensorMethod method,
    absl::Span<const Fragment> message,
    absl::Span<const absl::Span<std::byte>> outputs);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_PLAIN_CALL_H_
