#ifndef ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_
#define ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
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
  struct Compiled {
    std::shared_ptr<const Program> program;
    int64_t size_bytes = 0;
  };
  using Result = absl::StatusOr<std::shared_ptr<const Program>>;

  explicit ProgramCache(const Options& options) : options_(options) {}

  // Returns nullptr if there is none. Does not block. Marks the program as
  // recently used.
  std::shared_ptr<const Program> Find(const std::string& program_id);

  // Returns the program, or waits for another caller that compiles it, or calls
  // `compile`. Errors are not kept.
  Result FindOrCompile(const std::string& program_id,
                       absl::FunctionRef<absl::StatusOr<Compiled>()> compile);

 private:
  struct Flight;
  struct Entry {
    std::string program_id;
    Compiled compiled;
  };

  std::shared_ptr<const Program> FindLocked(const std::string& program_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remember(const std::string& program_id, const Compiled& compiled)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  absl::Mutex mutex_;
  std::list<Entry> programs_ ABSL_GUARDED_BY(mutex_);  // newest first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_id_
      ABSL_GUARDED_BY(mutex_);
  int64_t size_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_PROGRAM_CACHE_H_
