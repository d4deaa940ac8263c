#ifndef ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_TIMER_H_
#define ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_TIMER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/base/dtype.h"
#include "kernels/codegen/cuda/nvrtc.h"
#include "kernels/device/cuda/benchmark/stream_text.h"
#include "kernels/device/cuda/driver/cuda_context.h"
#include "kernels/device/cuda/program/cuda_program.h"
#include "kernels/device/cuda/program/program_loader.h"
#include "kernels/device/cuda/run/device_pool.h"

namespace actserve {

// A GPU with tensors in its memory, to time kernels on. Works below Device,
// whose copies over the bus would hide the kernels.
//
// Every input is the same 64 KiB of normally distributed numbers over and
// over, so that results at both ends of a tensor of any size are equal.
//
// Use it from one thread; Load() and LoadStream() may be called from any.
class KernelTimer {
 public:
  struct Options {
    int ordinal = 0;
    // The libraries for CudaDriver::Open() and Nvrtc::Open().
    std::string driver = "";
    std::string nvrtc = "";
    // A file of precompiled code, see SassPack; empty: none. no_pack() says why
    // one cannot be used.
    std::string pack = "";
    // Size of the largest tensor; three fit beside each other.
    int64_t max_tensor_bytes = int64_t{2} << 30;
    // A time is the median over this many blocks of launches; each block takes
    // about this long.
    int num_blocks = 5;
    double block_seconds = 0.003;
  };
  static constexpr int64_t kPeriodBytes = int64_t{64} << 10;
  static constexpr int kMaxInputs = 2;

  // Returns the errors of CudaDevice::Create().
  static absl::StatusOr<std::unique_ptr<KernelTimer>> Create(
      const Options& options);
  ~KernelTimer();

  CudaContext& context() { return *context_; }
  const std::string& nvrtc_version() const { return nvrtc_->version(); }
  const std::string& no_pack() const { return no_pack_; }
  int64_t l2_bytes() const { return l2_bytes_; }
  // The size that the options ask for, or less if memory is short.
  int64_t max_tensor_bytes() const { return max_tensor_bytes_; }

  // Makes all inputs hold numbers of `dtype`.
  absl::Status Fill(DType dtype);
  // The numbers of an input repeat after kPeriodBytes; these are they.
  static std::vector<std::byte> Numbers(DType dtype);

  struct Tensors {
    std::vector<CuDeviceAddress> inputs;
    CuDeviceAddress output = 0;
  };
  // Sets of tensors for calls to take in turn: when a set comes round again,
  // the L2 cache has seen four times its own size. `size_bytes`, of a tensor,
  // is a multiple of kPeriodBytes and at most max_tensor_bytes().
  std::vector<Tensors> Rotation(int num_inputs, int64_t size_bytes) const;

  // Any thread may compile, several at once.
  absl::StatusOr<std::shared_ptr<CudaProgram>> Load(
      const LoweredProgram& program);

  // A compiled StreamKernel.
  class Stream {
   public:
    Stream(KernelTimer* timer, const StreamKernel& kernel)
        : timer_(*timer), kernel_(kernel) {}
    ~Stream();
    const StreamKernel& kernel() const { return kernel_; }
    absl::Status Launch(const StreamLaunch& launch) const;

   private:
    friend class KernelTimer;
    KernelTimer& timer_;
    const StreamKernel kernel_;
    CuModule module_ = nullptr;
    CuFunction function_ = nullptr;
  };
  absl::StatusOr<std::unique_ptr<Stream>> LoadStream(
      const StreamKernel& kernel);

  // The stream of all launches.
  CuStream stream() const { return stream_; }
  absl::StatusOr<DeviceBlock> Allocate(int64_t size_bytes) {
    return pool_->Allocate(size_bytes, stream_);
  }
  // The driver's own copy, on the stream.
  absl::Status Copy(CuDeviceAddress to, CuDeviceAddress from,
                    int64_t size_bytes);
  absl::Status Wait();

  // Seconds of one call.
  struct Time {
    double median = 0;
    double least = 0;
    double most = 0;
    int64_t calls_in_block = 0;
  };
  // `call(i)` puts the i-th call on the stream; timed by the device.
  absl::StatusOr<Time> Measure(absl::FunctionRef<absl::Status(int64_t i)> call);

  // Returns what `call` writes to the first and the last period of an output of
  // `size_bytes`. Both hold something else before.
  //   Internal  it left one of them as it was
  struct Ends {
    std::vector<std::byte> first;
    std::vector<std::byte> last;
  };
  absl::StatusOr<Ends> RunOnce(absl::FunctionRef<absl::Status()> call,
                               CuDeviceAddress output, int64_t size_bytes);

 private:
  explicit KernelTimer(const Options& options) : options_(options) {}

  absl::Status Start();
  absl::Status TakeMemory();
  // Waits for what was put on the stream so far, and of the next `calls`.
  absl::StatusOr<double> SecondsOf(
      int64_t first, int64_t calls,
      absl::FunctionRef<absl::Status(int64_t i)> call);

  const Options options_;
  std::shared_ptr<CudaContext> context_;
  std::unique_ptr<Nvrtc> nvrtc_;
  std::unique_ptr<ProgramLoader> loader_;
  std::shared_ptr<DevicePool> pool_;
  std::string no_pack_;
  CuStream stream_ = nullptr;
  CuEvent begin_ = nullptr;
  CuEvent end_ = nullptr;
  int64_t l2_bytes_ = 0;
  int64_t max_tensor_bytes_ = 0;
  int64_t inputs_bytes_ = 0;
  int64_t outputs_bytes_ = 0;
  DeviceBlock memory_;  // inputs, then outputs
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_DEVICE_CUDA_BENCHMARK_KERNEL_TIMER_H_
