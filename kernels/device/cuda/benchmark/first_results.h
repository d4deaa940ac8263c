#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_FIRST_RESULTS_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_FIRST_RESULTS_H_

#include "absl/status/statusor.h"
#include "kernels/device/cuda/benchmark/kernel_report.h"
#include "kernels/device/cuda/cuda_device.h"

namespace actserve {

// Times how long a function that was never seen takes from its text to its
// first result, on a device that exists already: once compiled, and once loaded
// from the files of an earlier device. `options.cache_directory` is ignored: a
// new folder is used and removed.
//   Internal  the folder cannot be made
// and as CudaDevice::Create(), Compile() and Run().
absl::StatusOr<FirstResults> TimeFirstResults(CudaDevice::Options options,
                                              int repetitions);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_FIRST_RESULTS_H_
