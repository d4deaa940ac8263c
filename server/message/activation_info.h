#ifndef ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_
#define ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_

#include <cstddef>

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/description.h"
#include "server/state/registry.h"

namespace actserve {

// Limits on the texts that the server makes for an answer; longer ones are cut
// (see PrintGraph() and DescribeGradients()). They keep an answer below 4 MiB
// with the text itself, which the largest --max_source_bytes limits to 1 MiB.
inline constexpr size_t kMaxProgramBytes = size_t{1} << 20;
inline constexpr GradientTextLimits kGradientTextLimits = {
    .each = size_t{64} << 10, .together = size_t{256} << 10};

// The signature of `activation` and what its author wrote, the text only
// `with_text`. Copies only.
v1::Activation Summary(const RegisteredActivation& activation, bool with_text);

// The same with the text, the program and the gradient check, and
// `with_gradients` the gradients: "" for one that is not available. Takes
// milliseconds.
v1::Activation Details(const RegisteredActivation& activation,
                       bool with_gradients);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_
