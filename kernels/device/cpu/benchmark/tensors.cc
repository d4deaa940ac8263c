#include "kernels/device/cpu/benchmark/tensors.h"

#include <time.h>

#include <cstring>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/base/quantile.h"
#include "kernels/device/cpu/benchmark/memory_baseline.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

}  // namespace

Tensor::Tensor(DType dtype, int seed)
    : bytes_(static_cast<std::byte*>(aligned_alloc(4096, kLargestBytes))) {
  // A repeating block, long enough that no branch predictor learns it.
  std::vector<std::byte> block(int64_t{1} << 17);
  std::mt19937 random(seed);
  std::normal_distribution<float> numbers;
  const int64_t item_size = ItemSizeBytes(dtype);
  for (size_t at = 0; at < block.size(); at += item_size) {
    const float number = numbers(random);
    const uint16_t bits = actserve_f32_to_bf16_bits(number);
    if (dtype == DType::kFloat32) {
      std::memcpy(&block[at], &number, sizeof(number));
    } else {
      std::memcpy(&block[at], &bits, sizeof(bits));
    }
  }
  for (int64_t at = 0; at < kLargestBytes; at += block.size()) {
    std::memcpy(bytes_.get() + at, block.data(), block.size());
  }
}

const Tensor& InputOf(DType dtype, int which) {
  static const Tensor tensors[2][2] = {
      {Tensor(DType::kFloat32, 1), Tensor(DType::kFloat32, 2)},
      {Tensor(DType::kBFloat16, 1), Tensor(DType::kBFloat16, 2)}};
  return tensors[dtype == DType::kBFloat16][which];
}

const Tensor& Output() {
  static const Tensor tensor(DType::kFloat32, 3);
  return tensor;
}

void SetCounters(benchmark::State& state, int64_t size_bytes, int tensors,
                 int64_t item_size) {
  state.SetBytesProcessed(state.iterations() * size_bytes * tensors);
  state.SetItemsProcessed(state.iterations() * size_bytes / item_size);
}

double TimeOf(int64_t calls, absl::FunctionRef<void()> call) {
  const double start = ThreadSeconds();
  for (int64_t i = 0; i < calls; ++i) call();
  return (ThreadSeconds() - start) / static_cast<double>(calls);
}

double TimeInTurns(benchmark::State& state, int64_t calls,
                   absl::FunctionRef<void()> base,
                   absl::FunctionRef<void()> measured) {
  std::vector<double> ratios;
  for (auto _ : state) {
    const double time_of_base = TimeOf(calls, base);
    const double time = TimeOf(calls, measured);
    ratios.push_back(time_of_base / time);
    state.SetIterationTime(time);
  }
  return Median(ratios);
}

Job::Job(Device& device, const LoweredProgram& program, int64_t row_size,
         int64_t size_bytes, absl::Span<const Broadcast> broadcasts)
    : device_(device), compiled_(ValueOrDie(device.Compile(program))) {
  for (int i = 0; i < program.num_tensor_inputs(); ++i) {
    fragments_.push_back(
        {InputOf(program.storage, i).bytes(), static_cast<size_t>(size_bytes)});
  }
  for (const Fragment& fragment : fragments_) {
    item_.inputs.push_back(absl::MakeConstSpan(&fragment, 1));
  }
  for (const Parameter& parameter : program.graph.parameters) {
    item_.parameters.push_back(parameter.default_value);
  }
  for (const Broadcast& shape : broadcasts) {
    of_broadcasts_.push_back(
        {InputOf(program.storage, 1).bytes(),
         static_cast<size_t>(shape.num_elements() *
                             ItemSizeBytes(program.storage))});
  }
  for (size_t b = 0; b < broadcasts.size(); ++b) {
    item_.broadcasts.push_back(
        {absl::MakeConstSpan(&of_broadcasts_[b], 1), broadcasts[b]});
  }
  item_.outputs = {Output().bytes()};
  item_.num_elements = size_bytes / ItemSizeBytes(program.storage);
  item_.rows.size = row_size;
  Run();
}

void RunProgram(benchmark::State& state, Device& device,
                const LoweredProgram& program, int64_t row_size,
                int64_t size_bytes) {
  Job job(device, program, row_size, size_bytes);
  for (auto _ : state) job.Run();
  SetCounters(state, size_bytes, program.num_tensor_inputs() + 1,
              ItemSizeBytes(program.storage));
}

void RegisterCopies(int64_t size_bytes) {
  using Copy = void (*)(const void*, size_t, void*);
  for (auto [name, copy] : {std::pair<const char*, Copy>{"plain", CopyPlain},
                            {"non_temporal", CopyNonTemporal}}) {
    benchmark::RegisterBenchmark(
        absl::StrCat("copy/", name, "/", size_bytes).c_str(),
        [=](benchmark::State& state) {
          for (auto _ : state) {
            copy(InputOf(DType::kFloat32, 0).bytes(), size_bytes,
                 Output().bytes());
          }
          SetCounters(state, size_bytes, 2, 4);
        });
  }
}

}  // namespace actserve
