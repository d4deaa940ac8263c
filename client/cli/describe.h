#ifndef ACTSERVE_CLIENT_CLI_DESCRIBE_H_
#define ACTSERVE_CLIENT_CLI_DESCRIBE_H_

#include <string>

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/description.h"

namespace actserve {

// The description that a server sent. A gradient that it left empty becomes
// NotFound: the message has no room for the reason.
ActivationDescription FromMessage(const v1::Activation& message);

// "leaky_relu(x, negative_slope=0.01)".
std::string Signature(const ActivationDescription& activation);

// All of `activation` for a person to read, a title over each part. Parts that
// are empty are left out, except a gradient: its reason stands in its place.
std::string DescriptionText(const ActivationDescription& activation);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_DESCRIBE_H_
