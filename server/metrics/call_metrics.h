#ifndef ACTSERVE_SERVER_METRICS_CALL_METRICS_H_
#define ACTSERVE_SERVER_METRICS_CALL_METRICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/metrics/striped_counter.h"
#include "server/metrics/striped_histogram.h"
#include "server/metrics/thread_stripe.h"

namespace actserve {

// The methods that calls are counted by: those of the activation service, and
// those of KServe's that carry tensors. kOther is every other call, also of
// methods that do not exist, so that no client can add one.
enum class Method {
  kForward,
  kBackward,
  kForwardStream,
  kBackwardStream,
  kRegisterActivation,
  kGetActivation,
  kListActivations,
  kReleaseResiduals,
  kGetServerInfo,
  kModelInfer,
  kModelStreamInfer,
  kOther,
  kNumMethods
};
// "Forward"; "other".
absl::string_view NameOf(Method method);

// Counts the calls that were answered, and their times. Thread-safe, without
// locks.
class CallMetrics {
 public:
  static constexpr size_t kNumMethods =
      static_cast<size_t>(Method::kNumMethods);
  // Codes of gRPC.
  static constexpr size_t kNumCodes = 17;

  CallMetrics();

  // A call that was answered with `code`; one that gRPC does not have counts as
  // UNKNOWN. `time`: from its arrival until its answer was sent.
  void CountCall(Method method, absl::StatusCode code, absl::Duration time);

  // Messages of calls, as they arrived and as they were handed to gRPC.
  void CountReceived(int64_t bytes) { received_bytes_.Add(bytes); }
  void CountSent(int64_t bytes) { sent_bytes_.Add(bytes); }

  // The stages of one computed request.
  enum Stage { kCopyIn, kCompute, kCopyOut, kNumStages };
  void CountStage(Stage stage, absl::Duration time) {
    stages_[stage].Observe(absl::ToInt64Nanoseconds(time));
  }

  // From now on calls are UNAVAILABLE because of the device.
  void set_device_is_lost() { device_is_lost_.store(true); }

  int64_t num_calls(Method method, size_t code) const;
  // In nanoseconds, by kLatencyBounds.
  StripedHistogram::Snapshot times(Method method) const {
    return times_[static_cast<size_t>(method)].Read();
  }
  StripedHistogram::Snapshot stage(Stage stage) const {
    return stages_[stage].Read();
  }
  int64_t received_bytes() const { return received_bytes_.Sum(); }
  int64_t sent_bytes() const { return sent_bytes_.Sum(); }

 private:
  // By method and code.
  struct alignas(64) Stripe {
    std::array<std::array<std::atomic<int64_t>, kNumCodes>, kNumMethods> calls =
        {};
  };
  std::array<Stripe, kNumStripes> stripes_;
  std::array<StripedHistogram, kNumMethods> times_;
  std::array<StripedHistogram, kNumStages> stages_;
  StripedCounter received_bytes_;
  StripedCounter sent_bytes_;
  std::atomic<bool> device_is_lost_ = false;
};

}  // namespace actserve

#endif  // ACTSERVE_SERVER_METRICS_CALL_METRICS_H_
