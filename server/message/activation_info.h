#ifndef ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_
#define ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/description.h"

namespace actserve {

// Returns `description` as a message. A gradient that is not available is "".
// The gradient check is set if the description has a program, that is if it is
// not a summary.
v1::Activation ToProto(const ActivationDescription& description, bool builtin);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_ACTIVATION_INFO_H_
