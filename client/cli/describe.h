#ifndef ACTSERVE_CLIENT_CLI_DESCRIBE_H_
#define ACTSERVE_CLIENT_CLI_DESCRIBE_H_

#include <string>

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/description.h"

namespace actserve {

// Reads the description that a server sent. A gradient that it left empty
// becomes NotFound: the message has no room for the reason.
ActivationDescription FromMessage(const v1::Activation& message);

// "leaky_relu(x, negative_slope=0.01)".
std::string Signature(const ActivationDescription& activation);

// Formats all of `activation` for people, with a title over each part. Omits
// empty parts, except a gradient: it prints the reason instead.
std::string DescriptionText(const ActivationDescription& activation);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_DESCRIBE_H_
