#ifndef ACTSERVE_SERVER_MESSAGE_ONES_H_
#define ACTSERVE_SERVER_MESSAGE_ONES_H_

#include <vector>

#include "kernels/device/device.h"
#include "server/state/tensor_type.h"

namespace actserve {

// A tensor of ones, in memory that is never freed.
std::vector<Fragment> OnesTensor(const TensorType& type);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_ONES_H_
