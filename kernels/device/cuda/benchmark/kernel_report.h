// The results of cuda_benchmark, and their two forms: JSON with every time, and
// Markdown tables with goals beside figures.

#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_REPORT_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/dtype.h"
#include "kernels/device/cuda/benchmark/kernel_timer.h"
#include "nlohmann/json.hpp"

namespace actserve {

// The program that is timed.
enum class Direction {
  kForward,
  kGradient,                // of the inputs
  kGradientWithParameters,  // of the inputs and the parameters
};
// "forward", "gradient", "gradient with parameters".
const char* DirectionName(Direction direction);

// Where a kernel of a 16-bit function finds its table.
enum class TablePlace { kNone, kGlobal, kShared };

// A kernel, or a copy that shows what memory allows, at one size.
struct KernelTime {
  // A built-in; "copy", "triad" (two inputs) or "memcpy" of the driver.
  std::string function;
  Direction direction = Direction::kForward;
  DType dtype = DType::kFloat32;
  int64_t tensor_bytes = 0;
  int num_tensors = 0;  // read and written
  TablePlace table = TablePlace::kNone;
  bool streaming = false;
  int vectors = 0;  // of a ceiling
  // Of a function of rows: elements in a row, and from one to the next.
  int64_t row_size = 0;
  int64_t row_stride = 0;
  KernelTimer::Time time;

  int64_t num_elements() const { return tensor_bytes / ItemSizeBytes(dtype); }
  double bytes_per_second() const {
    return static_cast<double>(tensor_bytes) * num_tensors / time.median;
  }
};

// PyTorch's time for the same function, as gpu_check_pytorch found it.
struct PyTorchTime {
  std::string function;
  std::string direction;
  std::string dtype;
  int64_t tensor_bytes = 0;
  double seconds = 0;
};

// From a text to its first result, milliseconds; medians. Negative: not run.
struct FirstResults {
  double cold_ms = -1;
  double disk_ms = -1;
  int repetitions = 0;
};

// Everything that one run of cuda_benchmark found.
struct KernelReport {
  std::string device;
  std::string nvrtc;
  int64_t l2_bytes = 0;
  std::vector<KernelTime> ceilings;
  std::vector<KernelTime> kernels;
  std::vector<KernelTime> rows;  // of functions of rows
  // Empty, and why.
  std::vector<PyTorchTime> pytorch;
  std::string pytorch_version;
  std::string no_pytorch;
  FirstResults first_results;
  // Measurements that are missing, and why: for want of time or memory, and
  // because something is wrong.
  std::vector<std::string> left_out;
  std::vector<std::string> failed;
};

// Adds the times that gpu_check_pytorch wrote; if there are none,
// `no_pytorch` says why.
void ReadPyTorch(const std::string& json_text, KernelReport& report);

nlohmann::json ToJson(const KernelReport& report);
std::string ToMarkdown(const KernelReport& report);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_REPORT_H_
