// How fast programs that read rows run on one core, beside a copy of the same
// bytes. Names are activation/direction/dtype/elements of a row/bytes of a
// tensor. An iteration is a block of calls between blocks of plain and
// streaming copies. bytes_per_second counts every byte read and written;
// of_copy is the median of its ratio to that of the faster copy of the same
// iteration.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/base/process_options.h"
#include "kernels/base/quantile.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/benchmark/memory_baseline.h"
#include "kernels/device/cpu/benchmark/tensors.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

constexpr int64_t kSizes[] = {int64_t{64} << 10, int64_t{1} << 20,
                              int64_t{16} << 20, kLargestBytes};
constexpr int64_t kRows[] = {64, 1 << 10, 16 << 10, 128 << 10, 1 << 20};
constexpr int kIterations = 7;
// About the bytes of a block: long enough to be timed.
constexpr int64_t kBlockBytes = int64_t{16} << 20;

constexpr const char* kNames[] = {"softmax", "log_softmax", "standardize",
                                  "rms_norm", "layer_norm"};
// Of layer_norm, tensors along the row; its gradient is by them, too.
const std::vector<std::string> kWeights = {"weight", "bias"};

void Run(benchmark::State& state, Device& device, const std::string& name,
         bool gradient, DType dtype, int64_t row, int64_t size_bytes) {
  auto activation =
      ValueOrDie(Activation::Create(FindInCatalog(name)->text, {}, nullptr));
  std::vector<std::string> wrt = {"x"};
  std::vector<Broadcast> weights;
  if (name == "layer_norm") {
    activation = ValueOrDie(activation->WithBroadcasts(kWeights));
    const Broadcast::Dimension shape[] = {
        {size_bytes / ItemSizeBytes(dtype) / row, true}, {row, false}};
    weights.resize(kWeights.size(), Broadcast(shape));
    wrt.insert(wrt.end(), kWeights.begin(), kWeights.end());
  }
  const LoweredProgram program =
      ValueOrDie(gradient ? activation->LowerBackward(dtype, wrt)
                          : activation->LowerForward(dtype, {}));
  Job job(device, program, row, size_bytes, weights);
  const int tensors = gradient ? 3 : 2;
  const int64_t calls = std::max<int64_t>(1, kBlockBytes / size_bytes);
  const std::byte* from = InputOf(dtype, 0).bytes();
  std::byte* to = Output().bytes();
  std::vector<double> ratios;
  for (auto _ : state) {
    const double plain =
        TimeOf(calls, [&] { CopyPlain(from, size_bytes, to); });
    const double time = TimeOf(calls, [&] { job.Run(); });
    const double streaming =
        TimeOf(calls, [&] { CopyNonTemporal(from, size_bytes, to); });
    ratios.push_back(std::min(plain, streaming) * tensors / 2 / time);
    state.SetIterationTime(time);
  }
  state.counters["of_copy"] = Median(ratios);
  SetCounters(state, size_bytes, tensors, ItemSizeBytes(dtype));
}

int Main(int argc, char** argv) {
  SetProcessOptions();
  benchmark::Initialize(&argc, argv);
  CpuDevice::Options options;
  options.num_threads = 1;
  const auto device = ValueOrDie(CpuDevice::Create(options));
  benchmark::AddCustomContext("device", device->description());
  for (const int64_t size : kSizes) {
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
                })
                ->UseManualTime()
                ->Iterations(kIterations);
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
