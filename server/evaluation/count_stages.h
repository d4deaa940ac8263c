#ifndef ACTSERVE_SERVER_EVALUATION_COUNT_STAGES_H_
#define ACTSERVE_SERVER_EVALUATION_COUNT_STAGES_H_

#include "kernels/device/device.h"
#include "server/metrics/call_metrics.h"

namespace actserve {

// Counts the stages of one computed request. `metrics` must not be null.
inline void CountStages(const Stages& stages, CallMetrics* metrics) {
  metrics->CountStage(CallMetrics::kCopyIn, stages.copy_in);
  metrics->CountStage(CallMetrics::kCompute, stages.compute);
  metrics->CountStage(CallMetrics::kCopyOut, stages.copy_out);
}

}  // namespace actserve

#endif  // ACTSERVE_SERVER_EVALUATION_COUNT_STAGES_H_
