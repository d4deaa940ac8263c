#include "kernels/device/cuda/benchmark/first_results.h"

#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/base/quantile.h"

namespace actserve {
namespace {

// A text that no cache has seen: `number` makes it so.
std::string TextNumber(int64_t number) {
  return absl::StrCat("def activation(x):\n    return x / (1 + exp(-x)) + ",
                      number, "e-7 * x\n");
}

// Milliseconds from text to the first result.
absl::StatusOr<double> RegisterAndRun(Device& device, int64_t number) {
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<std::shared_ptr<const Activation>> activation =
      Activation::Create(TextNumber(number), Activation::Options(), nullptr);
  if (!activation.ok()) return activation.status();
  absl::StatusOr<LoweredProgram> lowered =
      (*activation)->LowerForward(DType::kFloat32, {});
  if (!lowered.ok()) return lowered.status();
  absl::StatusOr<std::shared_ptr<const Program>> program =
      device.Compile(*lowered);
  if (!program.ok()) return program.status();
  const float x = 1;
  float y = 0;
  const Fragment fragment{reinterpret_cast<const std::byte*>(&x), sizeof(x)};
  WorkItem item;
  item.inputs = {absl::MakeConstSpan(&fragment, 1)};
  item.outputs = {reinterpret_cast<std::byte*>(&y)};
  item.num_elements = 1;
  absl::Status ran = device.Run(**program, absl::MakeSpan(&item, 1));
  if (!ran.ok()) return ran;
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now() - start)
      .count();
}

absl::StatusOr<FirstResults> TimeIn(const CudaDevice::Options& options,
                                    int repetitions) {
  std::vector<double> cold;
  {
    absl::StatusOr<std::unique_ptr<CudaDevice>> device =
        CudaDevice::Create(options);
    if (!device.ok()) return device.status();
    // The first compilation of a process also starts the compiler.
    for (int64_t number = 0; number <= repetitions; ++number) {
      absl::StatusOr<double> ms = RegisterAndRun(**device, number);
      if (!ms.ok()) return ms.status();
      if (number > 0) cold.push_back(*ms);
    }
  }
  std::vector<double> disk;
  for (int64_t number = 1; number <= repetitions; ++number) {
    // It finds what the first one left, as a server does that starts again.
    absl::StatusOr<std::unique_ptr<CudaDevice>> device =
        CudaDevice::Create(options);
    if (!device.ok()) return device.status();
    absl::StatusOr<double> ms = RegisterAndRun(**device, number);
    if (!ms.ok()) return ms.status();
    disk.push_back(*ms);
  }
  return FirstResults{Median(cold), Median(disk), repetitions};
}

}  // namespace

absl::StatusOr<FirstResults> TimeFirstResults(CudaDevice::Options options,
                                              int repetitions) {
  std::string folder =
      (std::filesystem::temp_directory_path() / "cuda_benchmark_XXXXXX")
          .string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot make ", folder));
  }
  options.cache_directory = folder;
  absl::StatusOr<FirstResults> found = TimeIn(options, repetitions);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return found;
}

}  // namespace actserve
