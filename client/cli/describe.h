#ifndef ACTSERVE_CLIENT_CLI_DESCRIBE_H_
#define ACTSERVE_CLIENT_CLI_DESCRIBE_H_

#include <string>

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/activation.h"

namespace actserve {

// What a server would say about `activation`, without a gradient check.
v1::Activation Describe(const Activation& activation, bool builtin);

// "leaky_relu(x, negative_slope=0.01)".
std::string Signature(const v1::Activation& activation);

// Everything in `activation` for a person to read, a title over each part.
std::string DescriptionText(const v1::Activation& activation);

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CLI_DESCRIBE_H_
