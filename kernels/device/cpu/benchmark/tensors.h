// Tensors and small parts that the benchmarks of this folder share.

#ifndef ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_TENSORS_H_
#define ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_TENSORS_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/base/dtype.h"
#include "kernels/device/device.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

inline constexpr int64_t kLargestBytes = int64_t{256} << 20;

// The code below runs before and between measurements; an error ends it.
template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

inline void OkOrDie(const absl::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    std::exit(1);
  }
}

// kLargestBytes of aligned memory, filled with normally distributed numbers;
// the pages of an output are touched as well.
class Tensor {
 public:
  Tensor(DType dtype, int seed);
  std::byte* bytes() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

// Input `which`, 0 or 1, of float32 or bfloat16; and an output.
const Tensor& InputOf(DType dtype, int which);
const Tensor& Output();

// Seconds of one of `calls` on this thread, without those that other processes
// took.
double TimeOf(int64_t calls, absl::FunctionRef<void()> call);

// An iteration is `calls` of `base` and then of `measured`, whose time it has.
// Returns the median of their ratios, 1 being as fast.
double TimeInTurns(benchmark::State& state, int64_t calls,
                   absl::FunctionRef<void()> base,
                   absl::FunctionRef<void()> measured);

// `size_bytes` are those of each of `tensors`.
void SetCounters(benchmark::State& state, int64_t size_bytes, int tensors,
                 int64_t item_size);

// A program of one output on tensors of `size_bytes`, with the default
// parameters; rows of `row_size` if it reads rows. `broadcasts` are the shapes
// of its inputs that broadcast.
class Job {
 public:
  Job(Device& device, const LoweredProgram& program, int64_t row_size,
      int64_t size_bytes, absl::Span<const Broadcast> broadcasts = {});
  void Run() { OkOrDie(device_.Run(*compiled_, absl::MakeSpan(&item_, 1))); }

 private:
  Device& device_;
  const std::shared_ptr<const Program> compiled_;
  std::vector<Fragment> fragments_;
  std::vector<Fragment> of_broadcasts_;
  WorkItem item_;
};

// Times runs of `program`, of one output, on tensors of `size_bytes`, with the
// default parameters; rows of `row_size` if it reads rows.
void RunProgram(benchmark::State& state, Device& device,
                const LoweredProgram& program, int64_t row_size,
                int64_t size_bytes);

// copy/plain/BYTES and copy/non_temporal/BYTES.
void RegisterCopies(int64_t size_bytes);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CPU_BENCHMARK_TENSORS_H_
