#ifndef ACTSERVE_SERVER_OPTIONS_H_
#define ACTSERVE_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/evaluation/plan_cache.h"
#include "server/scheduling/scheduler.h"
#include "server/state/programs.h"
#include "server/state/registry.h"
#include "server/state/residuals.h"
#include "server/state/tensor_type.h"

namespace actserve {

// Everything about a server that an operator may choose. Each field is a flag
// of actserved (flags.cc), where it is explained for its reader.
struct Options {
  // host:port each; port 0 takes a free one.
  std::vector<std::string> listen;
  // Path of the unix socket; empty: none. Its directory is made with mode
  // 0700 if it is missing.
  std::string unix_socket;
  // Where the bound addresses are written, one a line; empty: nowhere.
  std::string port_file;
  bool reflection = false;
  std::string log_level = "info";

  // Of one request or response, tensors and all.
  int64_t max_message_bytes = (int64_t{64} << 20) + (64 << 10);
  // Of a request beside its tensors.
  int64_t max_metadata_bytes = 64 << 10;
  TensorLimits tensor;
  Registry::Options registry;
  Programs::Options programs;
  PlanCache::Options plans;
  // "auto", "cpu" or "cuda:N".
  std::string device = "auto";
  // Batches on the device at once; 0: as many as suit it.
  int max_running_batches = 0;
  // Its max_running_batches is that above, and its inline_bytes are for the
  // CPU alone.
  Scheduler::Options scheduler;
  Residuals::Options residuals;
  absl::Duration default_residual_lease = absl::Minutes(1);
  absl::Duration max_residual_lease = absl::Minutes(10);
  // Result memory kept for the next request.
  int64_t max_idle_buffer_bytes = int64_t{512} << 20;

  // Threads that one large tensor is spread over; 0: all.
  int device_threads = 0;
  // Of a GPU, for tensors on their way and tables; 0: nine tenths of what is
  // free.
  int64_t device_memory_bytes = 0;
  // Work that a GPU has not done after it is taken for a kernel that hangs.
  absl::Duration device_watchdog = absl::Seconds(10);
  // Programs for GPUs that were compiled beforehand; empty: none.
  std::string pack;
  int compile_threads = 1;
  // Texts and programs waiting for a compile thread.
  int max_queued_compilations = 256;
  // Compiled programs on disk; empty: none.
  std::string cache_directory;
  // Do not start without it.
  bool cache_directory_required = true;

  // Between NOT_SERVING and the refusal of new calls, for load balancers to
  // notice.
  absl::Duration drain_delay = absl::ZeroDuration();
  // For the calls that run, from the refusal on; then they are cancelled.
  absl::Duration drain_timeout = absl::Seconds(20);
};

// InvalidArgument names the first field that is out of its range, its value
// and the range.
absl::Status Validate(const Options& options);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_OPTIONS_H_
