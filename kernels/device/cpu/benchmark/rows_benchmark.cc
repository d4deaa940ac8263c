// How fast programs that read rows run on one core, beside a copy of the same
// bytes. Names are text/direction/dtype/elements of a row/bytes of a tensor,
// and copy/bytes. bytes_per_second counts every byte read and written.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/device/cpu/benchmark/memory_baseline.h"
#include "kernels/device/cpu/benchmark/tensors.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

constexpr int64_t kSizes[] = {int64_t{256} << 10, int64_t{64} << 20};
constexpr int64_t kRows[] = {8, 64, 1 << 10, 16 << 10, 128 << 10, 1 << 20};

struct Text {
  const char* name;
  const char* text;
};
constexpr Text kTexts[] = {
    {"softmax",
     "def softmax_(x):\n"
     "    e = exp(x - rowmax(x))\n"
     "    return e / rowsum(e)\n"},
    {"log_softmax",
     "def log_softmax_(x):\n"
     "    z = x - rowmax(x)\n"
     "    return z - log(rowsum(exp(z)))\n"},
    {"layer_norm",
     "def layer_norm_(x, eps=1e-5):\n"
     "    m = rowmean(x)\n"
     "    return (x - m) / sqrt(rowmean((x - m) ** 2) + eps)\n"},
    {"rms_norm",
     "def rms_norm_(x, eps=1e-6):\n"
     "    return x / sqrt(rowmean(x * x) + eps)\n"},
};

void Run(benchmark::State& state, Device& device, const char* text,
         bool gradient, DType dtype, int64_t row, int64_t size_bytes) {
  const auto activation = ValueOrDie(Activation::Create(text, {}, nullptr));
  const LoweredProgram lowered =
      ValueOrDie(gradient ? activation->LowerBackward(dtype, {"x"})
                          : activation->LowerForward(dtype, {}));
  const auto program = ValueOrDie(device.Compile(lowered));
  WorkItem item;
  std::vector<Fragment> fragments;
  for (int i = 0; i < lowered.num_tensor_inputs(); ++i) {
    fragments.push_back(
        {InputOf(dtype, i).bytes(), static_cast<size_t>(size_bytes)});
  }
  for (const Fragment& fragment : fragments) {
    item.inputs.push_back(absl::MakeConstSpan(&fragment, 1));
  }
  for (const Parameter& parameter : lowered.graph.parameters) {
    item.parameters.push_back(parameter.default_value);
  }
  item.outputs = {Output().bytes()};
  item.num_elements = size_bytes / ItemSizeBytes(dtype);
  item.rows.size = row;
  for (auto _ : state) {
    OkOrDie(device.Run(*program, absl::MakeSpan(&item, 1)));
  }
  SetCounters(state, size_bytes, lowered.num_tensor_inputs() + 1,
              ItemSizeBytes(dtype));
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  CpuDevice::Options options;
  options.num_threads = 1;
  const auto device = ValueOrDie(CpuDevice::Create(options));
  benchmark::AddCustomContext("device", device->description());
  for (const int64_t size : kSizes) {
    RegisterCopies(size);
    for (const Text& text : kTexts) {
      for (const bool gradient : {false, true}) {
        for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
          for (const int64_t row : kRows) {
            if (row * ItemSizeBytes(dtype) > size) continue;
            benchmark::RegisterBenchmark(
                absl::StrCat(text.name, gradient ? "/gradient/" : "/forward/",
                             std::string(DTypeName(dtype)), "/", row, "/", size)
                    .c_str(),
                [=, &device](benchmark::State& state) {
                  Run(state, *device, text.text, gradient, dtype, row, size);
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
