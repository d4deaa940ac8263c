// What a slope per channel costs beside one for all elements: prelu and its
// gradients with respect to x and the slope, on one core. Names are
// direction/dtype/channels/elements of a channel that lie together/bytes of a
// tensor. An iteration is a block of calls with one slope and a block with one
// per channel; of_scalar is the median of their ratios, 1 being as fast.

#include <benchmark/benchmark.h>

#include <algorithm>
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

constexpr int kIterations = 15;
// About the bytes of a block: long enough to be timed.
constexpr int64_t kBlockBytes = int64_t{16} << 20;

// Channels, and the elements of one that lie together: images [N, C, H, W] and
// features [N, C].
struct Layout {
  int64_t channels;
  int64_t run;
};
constexpr Layout kLayouts[] = {{64, 3136}, {256, 196}, {512, 49},
                               {64, 1},    {768, 1},   {4096, 1}};

void Run(benchmark::State& state, Device& device, bool gradient, DType dtype,
         const Layout& layout, int64_t size_bytes) {
  const auto scalar =
      ValueOrDie(Activation::Create(FindInCatalog("prelu")->text, {}, nullptr));
  const auto per_channel = ValueOrDie(scalar->WithBroadcasts({"a"}));
  const int64_t unit = layout.channels * layout.run;
  const int64_t item_size = ItemSizeBytes(dtype);
  const int64_t outer = std::max<int64_t>(1, size_bytes / item_size / unit);
  const Broadcast::Dimension dimensions[] = {
      {outer, true}, {layout.channels, false}, {layout.run, true}};
  const Broadcast slopes(dimensions);
  const auto program = [&](const Activation& activation) {
    return ValueOrDie(gradient ? activation.LowerBackward(dtype, {"x", "a"})
                               : activation.LowerForward(dtype, {}));
  };
  size_bytes = outer * unit * item_size;
  Job one(device, program(*scalar), 1, size_bytes);
  Job many(device, program(*per_channel), 1, size_bytes, {&slopes, 1});
  const int64_t calls = std::max<int64_t>(1, kBlockBytes / size_bytes);
  state.counters["of_scalar"] =
      TimeInTurns(state, calls, [&] { one.Run(); }, [&] { many.Run(); });
  SetCounters(state, size_bytes, gradient ? 3 : 2, item_size);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  CpuDevice::Options options;
  options.num_threads = 1;
  const auto device = ValueOrDie(CpuDevice::Create(options));
  benchmark::AddCustomContext("device", device->description());
  for (const int64_t size : {int64_t{1} << 20, int64_t{64} << 20}) {
    for (const bool gradient : {false, true}) {
      for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
        for (const Layout& layout : kLayouts) {
          benchmark::RegisterBenchmark(
              absl::StrCat(gradient ? "gradient/" : "forward/",
                           std::string(DTypeName(dtype)), "/", layout.channels,
                           "/", layout.run, "/", size)
                  .c_str(),
              [=, &device](benchmark::State& state) {
                Run(state, *device, gradient, dtype, layout, size);
              })
              ->UseManualTime()
              ->Iterations(kIterations);
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
