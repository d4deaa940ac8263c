// What a slope per channel costs beside one for all elements: prelu and its
// gradients with respect to x and the slope, on one core. Names are
// direction/dtype/channels/elements of a channel that lie together/bytes of a
// tensor. An iteration is a block of calls with one slope and a block with one
// per channel; of_scalar is the median of their ratios, 1 being as fast.

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/base/quantile.h"
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

double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// Seconds of `calls`, without those that other processes took.
double TimeOf(int64_t calls, absl::FunctionRef<void()> call) {
  const double start = ThreadSeconds();
  for (int64_t i = 0; i < calls; ++i) call();
  return ThreadSeconds() - start;
}

// prelu on tensors of the benchmark.
class Prelu {
 public:
  Prelu(Device& device, const Activation& activation, bool gradient,
        DType dtype, int64_t num_elements)
      : device_(device), size_bytes_(num_elements * ItemSizeBytes(dtype)) {
    program_ = ValueOrDie(device.Compile(
        ValueOrDie(gradient ? activation.LowerBackward(dtype, {"x", "a"})
                            : activation.LowerForward(dtype, {}))));
    for (int i = 0; i < (gradient ? 2 : 1); ++i) {
      inputs_.push_back(
          {InputOf(dtype, i).bytes(), static_cast<size_t>(size_bytes_)});
    }
    for (const Fragment& input : inputs_) {
      item_.inputs.push_back(absl::MakeConstSpan(&input, 1));
    }
    item_.parameters = {0.25};
    item_.num_elements = num_elements;
    item_.outputs = {Output().bytes()};
  }

  void SetSlopes(const Tensor& slopes, const Layout& layout) {
    const int64_t item_size = size_bytes_ / item_.num_elements;
    slopes_ = {slopes.bytes(),
               static_cast<size_t>(layout.channels * item_size)};
    const Broadcast::Dimension dimensions[] = {
        {item_.num_elements / layout.channels / layout.run, true},
        {layout.channels, false},
        {layout.run, true}};
    item_.broadcasts = {
        {absl::MakeConstSpan(&slopes_, 1), Broadcast(dimensions)}};
  }

  void Run() { OkOrDie(device_.Run(*program_, absl::MakeSpan(&item_, 1))); }

 private:
  Device& device_;
  const int64_t size_bytes_;
  std::shared_ptr<const Program> program_;
  std::vector<Fragment> inputs_;
  Fragment slopes_;
  WorkItem item_;
};

void Run(benchmark::State& state, Device& device, bool gradient, DType dtype,
         const Layout& layout, int64_t size_bytes) {
  const auto scalar =
      ValueOrDie(Activation::Create(FindInCatalog("prelu")->text, {}, nullptr));
  const auto per_channel = ValueOrDie(scalar->WithBroadcasts({"a"}));
  const int64_t unit = layout.channels * layout.run;
  const int64_t num_elements =
      std::max<int64_t>(1, size_bytes / ItemSizeBytes(dtype) / unit) * unit;
  Prelu one(device, *scalar, gradient, dtype, num_elements);
  Prelu many(device, *per_channel, gradient, dtype, num_elements);
  many.SetSlopes(InputOf(dtype, 1), layout);
  const int64_t calls = std::max<int64_t>(1, kBlockBytes / size_bytes);
  std::vector<double> ratios;
  for (auto _ : state) {
    const double with_one = TimeOf(calls, [&] { one.Run(); });
    const double with_many = TimeOf(calls, [&] { many.Run(); });
    ratios.push_back(with_one / with_many);
    state.SetIterationTime(with_many / static_cast<double>(calls));
  }
  state.counters["of_scalar"] = Median(ratios);
  SetCounters(state, size_bytes, gradient ? 3 : 2, ItemSizeBytes(dtype));
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
