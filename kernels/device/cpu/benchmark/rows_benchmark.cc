// How fast programs that read rows run on one core, beside a copy of the same
// bytes. Names are activation/direction/dtype/elements of a row/bytes of a
// tensor, and copy/bytes. bytes_per_second counts every byte read and written.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/benchmark/tensors.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

constexpr int64_t kSizes[] = {int64_t{256} << 10, int64_t{64} << 20};
constexpr int64_t kRows[] = {8, 64, 1 << 10, 16 << 10, 128 << 10, 1 << 20};

constexpr const char* kNames[] = {"softmax", "log_softmax", "standardize",
                                  "rms_norm"};

void Run(benchmark::State& state, Device& device, const char* name,
         bool gradient, DType dtype, int64_t row, int64_t size_bytes) {
  const auto activation =
      ValueOrDie(Activation::Create(FindInCatalog(name)->text, {}, nullptr));
  RunProgram(state, device,
             ValueOrDie(gradient ? activation->LowerBackward(dtype, {"x"})
                                 : activation->LowerForward(dtype, {})),
             row, size_bytes);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  CpuDevice::Options options;
  options.num_threads = 1;
  const auto device = ValueOrDie(CpuDevice::Create(options));
  benchmark::AddCustomContext("device", device->description());
  for (const int64_t size : kSizes) {
    RegisterCopies(size);
    for (const char* name : kNames) {
      for (const bool gradient : {false, true}) {
        for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
          for (const int64_t row : kRows) {
            if (row * ItemSizeBytes(dtype) > size) continue;
            benchmark::RegisterBenchmark(
                absl::StrCat(name, gradient ? "/gradient/" : "/forward/",
                             std::string(DTypeName(dtype)), "/", row, "/", size)
                    .c_str(),
                [=, &device](benchmark::State& state) {
                  Run(state, *device, name, gradient, dtype, row, size);
                });
          }
        }
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
