#ifndef ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_
#define ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/base/lru_cache.h"
#include "kernels/base/single_flight.h"
#include "kernels/device/device.h"

namespace actserve {

// The programs of one device, by id. Each is compiled once, however many
// callers ask for it at the same time. Beyond a limit the least recently used
// programs are dropped; one that a caller still holds stays valid but is not
// counted.
//
// Thread-safe. Different programs compile at once.
class ProgramCache {
 public:
  struct Options {
    int max_programs = 1024;
    int64_t max_size_bytes = int64_t{128} << 20;
  };
  // A program and what it counts against max_size_bytes.
  struct Compiled {
    std::shared_ptr<const Program> program;
    int64_t size_bytes = 0;
  };
  using Result = absl::StatusOr<std::shared_ptr<const Program>>;

  // At least one program is kept, whatever the options.
  explicit ProgramCache(const Options& options)
      : programs_(std::max(options.max_programs, 1), options.max_size_bytes) {}

  // Returns the program, or waits for another caller that compiles it, or calls
  // `compile`. Errors are not kept.
  Result FindOrCompile(const std::string& program_id,
                       absl::FunctionRef<absl::StatusOr<Compiled>()> compile);

 private:
  std::shared_ptr<const Program> Find(const std::string& program_id);

  absl::Mutex mutex_;
  LruCache<std::string, std::shared_ptr<const Program>> programs_
      ABSL_GUARDED_BY(mutex_);
  SingleFlight<std::string, Result> compilations_;
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_
