// What a gate costs whose inputs are the halves of one tensor, beside two
// tensors: swiglu and its gradients, on one core. Names are
// direction/dtype/elements of a half that lie together/bytes of a half. An
// iteration is a block of calls with two tensors and a block with one;
// of_separate is the median of their ratios, 1 being as fast.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

// 1: pairs. 128 to 11008: the features of networks.
constexpr int64_t kRuns[] = {1, 16, 128, 256, 1000, 4096, 11008};

// Two inputs, perhaps dy, and an output or two, in memory of its own.
class Gate {
 public:
  Gate(Device& device, const LoweredProgram& program, int64_t num_elements,
       int64_t run, bool is_split)
      : device_(device), compiled_(ValueOrDie(device.Compile(program))) {
    const int64_t bytes = num_elements * ItemSizeBytes(program.storage);
    const std::byte* const x = InputOf(program.storage, 0).bytes();
    std::byte* const to = Output().bytes();
    fragments_ = {
        {x, static_cast<size_t>(2 * bytes)},
        {x, static_cast<size_t>(bytes)},
        {x + bytes, static_cast<size_t>(bytes)},
        {InputOf(program.storage, 1).bytes(), static_cast<size_t>(bytes)}};
    const auto fragment = [&](int i) {
      return absl::MakeConstSpan(&fragments_[i], 1);
    };
    const bool is_gradient = program.num_tensor_inputs() == 3;
    for (const int half : {0, 1}) {
      const TensorPart part = {run, 2 * run, half * run};
      item_.inputs.push_back(fragment(is_split ? 0 : 1 + half));
      if (is_split) item_.input_parts.push_back(part);
      if (!is_gradient) continue;
      item_.outputs.push_back(to + (is_split ? 0 : half * bytes));
      if (is_split) item_.output_parts.push_back(part);
    }
    if (is_gradient) {
      item_.inputs.push_back(fragment(3));
    } else {
      item_.outputs = {to};
    }
    item_.num_elements = num_elements;
    Run();
  }
  void Run() { OkOrDie(device_.Run(*compiled_, absl::MakeSpan(&item_, 1))); }

 private:
  Device& device_;
  const std::shared_ptr<const Program> compiled_;
  std::vector<Fragment> fragments_;
  WorkItem item_;
};

void Run(benchmark::State& state, Device& device, bool gradient, DType dtype,
         int64_t run, int64_t size_bytes) {
  const auto swiglu = ValueOrDie(
      Activation::Create(FindInCatalog("swiglu")->text, {}, nullptr));
  const LoweredProgram program =
      ValueOrDie(gradient ? swiglu->LowerBackward(dtype, swiglu->inputs())
                          : swiglu->LowerForward(dtype, {}));
  const int64_t item_size = ItemSizeBytes(dtype);
  const int64_t num_elements =
      std::max<int64_t>(1, size_bytes / item_size / run) * run;
  Gate separate(device, program, num_elements, run, /*is_split=*/false);
  Gate split(device, program, num_elements, run, /*is_split=*/true);
  const int64_t calls = std::max<int64_t>(1, kBlockBytes / size_bytes);
  state.counters["of_separate"] =
      TimeInTurns(state, calls, [&] { separate.Run(); }, [&] { split.Run(); });
  SetCounters(state, num_elements * item_size, gradient ? 5 : 3, item_size);
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
        for (const int64_t run : kRuns) {
          benchmark::RegisterBenchmark(
              absl::StrCat(gradient ? "gradient/" : "forward/",
                           std::string(DTypeName(dtype)), "/", run, "/", size)
                  .c_str(),
              [=, &device](benchmark::State& state) {
                Run(state, *device, gradient, dtype, run, size);
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
