// What the server tells about an activation, as messages.

#ifndef ACTSERVE_SERVER_STATE_ACTIVATION_INFO_H_
#define ACTSERVE_SERVER_STATE_ACTIVATION_INFO_H_

#include "actserve/v1/activation.pb.h"
#include "kernels/activation/activation.h"

namespace actserve {

// What ListActivations shows: all but gradients, program and gradient check.
v1::Activation Describe(const Activation& activation, bool builtin);

// Fills those three. A gradient that cannot be had (over the weight limit, for
// example) is the empty string.
void AddDetails(const Activation& activation, v1::Activation* info);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_STATE_ACTIVATION_INFO_H_
