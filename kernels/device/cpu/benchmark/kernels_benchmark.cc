// How fast compiled activations run on one core, beside what memory allows.
//
// Names are activation/direction/dtype/bytes of one tensor, and
// copy|triad/plain|non_temporal/bytes. bytes_per_second counts every byte read
// and written, items_per_second elements. Ratios are made of one run's JSON by
// scripts/measure/kernels, since nothing else is comparable.
//
// registration/cold and registration/disk are the time from the text of a
// function never seen to its first result (medians, in milliseconds).

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cpu/benchmark/memory_baseline.h"
#include "kernels/device/cpu/benchmark/tensors.h"
#include "kernels/device/cpu/cpu_device.h"

namespace actserve {
namespace {

constexpr int64_t kSizes[] = {int64_t{128} << 10, int64_t{1} << 20,
                              int64_t{256} << 20};
constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16};
constexpr const char* kActivations[] = {"relu",      "spiky", "silu",    "gelu",
                                        "gelu_tanh", "mish",  "softplus"};

std::shared_ptr<const Activation> MakeActivation(std::string_view text) {
  return ValueOrDie(Activation::Create(text, Activation::Options(), nullptr));
}

void RunActivation(benchmark::State& state, Device& device,
                   const std::string& name, bool gradient, DType dtype,
                   int64_t size_bytes) {
  auto activation = MakeActivation(FindInCatalog(name)->text);
  const LoweredProgram lowered = ValueOrDie(
      gradient ? activation->LowerBackward(dtype, activation->inputs())
               : activation->LowerForward(dtype, {}));
  RunProgram(state, device, lowered, /*row_size=*/1, size_bytes);
}

void RegisterKernels(Device& device) {
  for (int64_t size_bytes : kSizes) {
    RegisterCopies(size_bytes);
    using Triad = void (*)(const void*, const void*, size_t, void*);
    for (auto [name, triad] :
         {std::pair<const char*, Triad>{"plain", TriadPlain},
          {"non_temporal", TriadNonTemporal}}) {
      benchmark::RegisterBenchmark(
          absl::StrCat("triad/", name, "/", size_bytes).c_str(),
          [=](benchmark::State& state) {
            for (auto _ : state) {
              triad(InputOf(DType::kFloat32, 0).bytes(),
                    InputOf(DType::kFloat32, 1).bytes(), size_bytes,
                    Output().bytes());
            }
            SetCounters(state, size_bytes, 3, 4);
          });
    }
    for (std::string name : kActivations) {
      for (bool gradient : {false, true}) {
        for (DType dtype : kDTypes) {
          benchmark::RegisterBenchmark(
              absl::StrCat(name, gradient ? "/gradient/" : "/forward/",
                           std::string(DTypeName(dtype)), "/", size_bytes)
                  .c_str(),
              [=, &device](benchmark::State& state) {
                RunActivation(state, device, name, gradient, dtype, size_bytes);
              });
        }
      }
    }
  }
}

// A text that no cache has seen: `number` makes it so.
std::string TextNumber(int64_t number) {
  return absl::StrCat("def activation", "(x):\n",
                      "    return x / (1 + exp(-x)) + ", number, "e-7 * x\n");
}

// Milliseconds from text to the first result.
double RegisterAndRun(Device& device, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  auto activation = MakeActivation(text);
  auto program = ValueOrDie(device.Compile(
      ValueOrDie(activation->LowerForward(DType::kFloat32, {}))));
  const float x = 1;
  float y = 0;
  const Fragment fragment{reinterpret_cast<const std::byte*>(&x), sizeof(x)};
  WorkItem item;
  item.inputs = {absl::MakeConstSpan(&fragment, 1)};
  item.outputs = {reinterpret_cast<std::byte*>(&y)};
  item.num_elements = 1;
  OkOrDie(device.Run(*program, absl::MakeSpan(&item, 1)));
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now() - start)
      .count();
}

// A device that knows what an earlier process left in `cache_directory`.
std::unique_ptr<CpuDevice> FreshDevice(const std::string& cache_directory) {
  CpuDevice::Options options;
  options.num_threads = 1;
  options.cache_directory = cache_directory;
  return ValueOrDie(CpuDevice::Create(options));
}

void RunRegistration(benchmark::State& state, bool from_disk) {
  std::string directory =
      (std::filesystem::temp_directory_path() / "kernels_benchmark_XXXXXX")
          .string();
  if (mkdtemp(directory.data()) == nullptr) OkOrDie(absl::InternalError("tmp"));
  static int64_t number = 0;
  std::vector<double> milliseconds;
  std::unique_ptr<CpuDevice> device = FreshDevice(directory);
  // The first compilation of a process also initializes LLVM.
  RegisterAndRun(*device, TextNumber(++number));
  for (auto _ : state) {
    const std::string text = TextNumber(++number);
    if (from_disk) {
      RegisterAndRun(*device, text);
      device = FreshDevice(directory);
    }
    milliseconds.push_back(RegisterAndRun(*device, text));
    state.SetIterationTime(milliseconds.back() / 1e3);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  state.counters["median_ms"] = milliseconds[milliseconds.size() / 2];
  std::filesystem::remove_all(directory);
}

void RegisterRegistration() {
  for (bool from_disk : {false, true}) {
    benchmark::RegisterBenchmark(
        from_disk ? "registration/disk" : "registration/cold",
        [=](benchmark::State& state) { RunRegistration(state, from_disk); })
        ->UseManualTime()
        ->Iterations(21)
        ->Unit(benchmark::kMillisecond);
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  CpuDevice::Options options;
  options.num_threads = 1;
  const std::unique_ptr<CpuDevice> device =
      ValueOrDie(CpuDevice::Create(options));
  benchmark::AddCustomContext("device", device->description());
  for (DType dtype : kDTypes) InputOf(dtype, 0);
  Output();
  RegisterKernels(*device);
  RegisterRegistration();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
