#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_TABLES_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_TABLES_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "kernels/base/lru_cache.h"
#include "kernels/device/cuda/program/cuda_program.h"
#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/device/cuda/run/staging.h"

namespace actserve {

// The filled tables of 16-bit programs on one device, by program and parameter
// values. Beyond a budget the least recently used are dropped; a table that is
// still held stays valid but is not counted.
//
// Thread-safe.
class DeviceTables {
 public:
  using Table = std::shared_ptr<const DeviceBlock>;

  // Slots given to Get() must outlive this object.
  DeviceTables(std::shared_ptr<CudaContext> context,
               std::shared_ptr<DevicePool> pool, int64_t max_size_bytes)
      : context_(std::move(context)),
        pool_(std::move(pool)),
        tables_(std::numeric_limits<size_t>::max(), max_size_bytes) {}

  // One filled table for each of `parameters`. Missing tables are filled by
  // work on the slot's stream; Get() waits for it. Hold a table until the work
  // that reads it is done.
  //   ResourceExhausted  the device has no room for them
  //   Unavailable        the device is lost
  absl::StatusOr<std::vector<Table>> Get(
      const CudaProgram& program,
      absl::Span<const absl::Span<const double>> parameters,
      const StagingSlot& slot);

 private:
  Table Find(const std::string& key);
  void Insert(const std::string& key, const Table& table);
  absl::StatusOr<Table> Fill(const CudaProgram& program,
                             absl::Span<const double> parameters,
                             CuStream stream);

  const std::shared_ptr<CudaContext> context_;
  const std::shared_ptr<DevicePool> pool_;
  absl::Mutex mutex_;
  LruCache<std::string, Table> tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_RUN_DEVICE_TABLES_H_
