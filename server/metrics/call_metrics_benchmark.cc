// What metrics add to one Forward, by threads that count at the same time.

#include <benchmark/benchmark.h>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/metrics/call_metrics.h"

namespace actserve {
namespace {

void CountForward(benchmark::State& state) {
  static CallMetrics metrics;
  for (auto _ : state) {
    const absl::Time received = absl::Now();
    metrics.CountReceived(4116);
    metrics.CountSent(4160);
    metrics.CountStage(CallMetrics::kCopyIn, absl::ZeroDuration());
    metrics.CountStage(CallMetrics::kCompute, absl::Microseconds(3));
    metrics.CountStage(CallMetrics::kCopyOut, absl::ZeroDuration());
    metrics.CountCall(Method::kForward, absl::StatusCode::kOk,
                      absl::Now() - received);
  }
}
BENCHMARK(CountForward)->Threads(1)->Threads(2)->Threads(16)->UseRealTime();

}  // namespace
}  // namespace actserve

BENCHMARK_MAIN();
