#ifndef ACTSERVE_SERVER_MESSAGE_TENSOR_RESULT_H_
#define ACTSERVE_SERVER_MESSAGE_TENSOR_RESULT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "kernels/device/device.h"
#include "server/state/buffer_pool.h"

namespace actserve {

// The result of a request, before it is encoded for the door it came through.
struct TensorResult {
  // The outputs of the program that are tensors, in its order.
  std::vector<Buffer> tensors;
  // True: what the device wrote is in its own memory, and not to be read here.
  bool in_device_memory = false;
  // Its outputs that are numbers, in its order.
  std::vector<double> sums;
  // Time in the scheduler's queue.
  absl::Duration queue;
  // Time on the device.
  Stages stages;
  // The rest of the time since the request was received.
  absl::Duration other;
  // Forward: handle of the residual that is kept for the request's lease; empty
  // if none is kept.
  std::string residual_handle;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_MESSAGE_TENSOR_RESULT_H_
