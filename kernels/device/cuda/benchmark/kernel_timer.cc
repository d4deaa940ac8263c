#include "kernels/device/cuda/benchmark/kernel_timer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/codegen/cuda/launch.h"
#include "kernels/device/cuda/driver/driver.h"
#include "kernels/math/half.h"

namespace actserve {
namespace {

constexpr int64_t kLargestMultipleOfL2 = 4;
constexpr std::byte kPoison{0xa5};
constexpr int64_t kMaxCallsInBlock = 2000;

// A multiple of a period.
int64_t InPeriods(int64_t size_bytes) {
  const int64_t period = KernelTimer::kPeriodBytes;
  return (size_bytes + period - 1) / period * period;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KernelTimer>> KernelTimer::Create(
    const Options& options) {
  std::unique_ptr<KernelTimer> timer(new KernelTimer(options));
  absl::Status status = timer->Start();
  if (status.ok()) status = timer->TakeMemory();
  if (!status.ok()) return status;
  return timer;
}

absl::Status KernelTimer::Start() {
  absl::StatusOr<std::shared_ptr<const CudaDriver>> driver =
      CudaDriver::Open(options_.driver);
  if (!driver.ok()) return driver.status();
  absl::StatusOr<std::shared_ptr<CudaContext>> context =
      CudaContext::Create(*driver, {.ordinal = options_.ordinal});
  if (!context.ok()) return context.status();
  context_ = *std::move(context);
  absl::StatusOr<std::unique_ptr<Nvrtc>> nvrtc = Nvrtc::Open(options_.nvrtc);
  if (!nvrtc.ok()) return nvrtc.status();
  nvrtc_ = *std::move(nvrtc);
  nvrtc = Nvrtc::Open(options_.nvrtc);
  if (!nvrtc.ok()) return nvrtc.status();
  std::shared_ptr<const SassPack> pack;
  if (!options_.pack.empty()) {
    auto opened = SassPack::Open(options_.pack);
    if (opened.ok()) {
      pack = *std::move(opened);
    } else {
      no_pack_ = std::string(opened.status().message());
    }
  }
  absl::StatusOr<std::unique_ptr<SassBuilder>> builder = SassBuilder::Create(
      {std::move(pack), /*cache=*/nullptr, std::move(nvrtc)},
      context_->architecture());
  if (!builder.ok()) return builder.status();
  loader_ = std::make_unique<ProgramLoader>(context_, *std::move(builder));

  absl::Status status = context_->Enter();
  if (!status.ok()) return status;
  const CuFunctions& cuda = context_->cuda();
  int l2_bytes = 0;
  status.Update(context_->Check(
      "cuDeviceGetAttribute",
      cuda.DeviceGetAttribute(&l2_bytes, kCuL2CacheBytes, context_->device())));
  l2_bytes_ = l2_bytes;
  status.Update(context_->Check(
      "cuStreamCreate", cuda.StreamCreate(&stream_, kCuStreamNonBlocking)));
  for (CuEvent* event : {&begin_, &end_}) {
    status.Update(context_->Check("cuEventCreate",
                                  cuda.EventCreate(event, kCuEventDefault)));
  }
  return status;
}

absl::Status KernelTimer::TakeMemory() {
  absl::StatusOr<std::shared_ptr<DevicePool>> pool =
      DevicePool::Create(context_, 0, -1);
  if (!pool.ok()) return pool.status();
  pool_ = *std::move(pool);
  // Half of what is free: tables and other programs want some too.
  const int64_t room = pool_->max_bytes() / 2;
  max_tensor_bytes_ =
      std::min(options_.max_tensor_bytes, room / (kMaxInputs + 1)) /
      kPeriodBytes * kPeriodBytes;
  if (max_tensor_bytes_ == 0) {
    return absl::ResourceExhaustedError("no device memory for a tensor");
  }
  inputs_bytes_ =
      std::max(kMaxInputs * max_tensor_bytes_,
               std::min(room / 2, InPeriods(kLargestMultipleOfL2 * l2_bytes_)));
  outputs_bytes_ = std::max(max_tensor_bytes_, inputs_bytes_ / kMaxInputs);
  absl::StatusOr<DeviceBlock> memory = Allocate(inputs_bytes_ + outputs_bytes_);
  if (!memory.ok()) return memory.status();
  memory_ = *std::move(memory);
  return Wait();
}

KernelTimer::~KernelTimer() {
  if (context_ == nullptr || !context_->Enter().ok()) return;
  memory_ = DeviceBlock();
  if (stream_ != nullptr) Wait().IgnoreError();
  for (CuEvent event : {begin_, end_}) {
    if (event != nullptr) context_->cuda().EventDestroy(event);
  }
  if (stream_ != nullptr) context_->cuda().StreamDestroy(stream_);
}

absl::Status KernelTimer::Copy(CuDeviceAddress to, CuDeviceAddress from,
                               int64_t size_bytes) {
  return context_->Check(
      "cuMemcpyDtoDAsync",
      context_->cuda().MemcpyDtoDAsync(to, from, size_bytes, stream_));
}

absl::Status KernelTimer::Wait() {
  absl::Status status = context_->Check(
      "cuEventRecord", context_->cuda().EventRecord(end_, stream_));
  return status.ok() ? context_->Wait(end_) : status;
}

std::vector<std::byte> KernelTimer::Numbers(DType dtype) {
  std::vector<std::byte> numbers(kPeriodBytes);
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  const int64_t item_size_bytes = ItemSizeBytes(dtype);
  for (int64_t at = 0; at < kPeriodBytes; at += item_size_bytes) {
    const double number = normal(random);
    const auto single = static_cast<float>(number);
    const uint16_t half = dtype == DType::kBFloat16
                              ? actserve_f64_to_bf16_bits(number)
                              : actserve_f64_to_f16_bits(number);
    const void* const from = dtype == DType::kFloat64 ? &number
                             : dtype == DType::kFloat32
                                 ? static_cast<const void*>(&single)
                                 : &half;
    std::memcpy(&numbers[at], from, item_size_bytes);
  }
  return numbers;
}

absl::Status KernelTimer::Fill(DType dtype) {
  const std::vector<std::byte> numbers = Numbers(dtype);
  const CuDeviceAddress begin = memory_.address();
  absl::Status status = context_->Check(
      "cuMemcpyHtoDAsync", context_->cuda().MemcpyHtoDAsync(
                               begin, numbers.data(), kPeriodBytes, stream_));
  int64_t filled = kPeriodBytes;
  while (status.ok() && filled < inputs_bytes_) {
    const int64_t more = std::min(filled, inputs_bytes_ - filled);
    status = Copy(begin + filled, begin, more);
    filled += more;
  }
  return status.ok() ? Wait() : status;
}

std::vector<KernelTimer::Tensors> KernelTimer::Rotation(
    int num_inputs, int64_t size_bytes) const {
  assert(num_inputs >= 1 && num_inputs <= kMaxInputs);
  assert(size_bytes % kPeriodBytes == 0 && size_bytes <= max_tensor_bytes_);
  const int64_t set_bytes = (num_inputs + 1) * size_bytes;
  const int64_t wanted =
      (kLargestMultipleOfL2 * l2_bytes_ + set_bytes - 1) / set_bytes;
  const int64_t fit = std::min(inputs_bytes_ / (num_inputs * size_bytes),
                               outputs_bytes_ / size_bytes);
  std::vector<Tensors> sets(std::clamp<int64_t>(wanted, 1, fit));
  CuDeviceAddress input = memory_.address();
  CuDeviceAddress output = input + inputs_bytes_;
  for (Tensors& set : sets) {
    for (int i = 0; i < num_inputs; ++i, input += size_bytes) {
      set.inputs.push_back(input);
    }
    set.output = output;
    output += size_bytes;
  }
  return sets;
}

absl::StatusOr<std::shared_ptr<CudaProgram>> KernelTimer::Load(
    const LoweredProgram& program) {
  return loader_->Load(program, /*with_shared_look_up=*/true);
}

absl::StatusOr<std::unique_ptr<KernelTimer::Stream>> KernelTimer::LoadStream(
    const StreamKernel& kernel) {
  absl::Status status = context_->Enter();
  if (!status.ok()) return status;
  std::string log;
  absl::StatusOr<Nvrtc::Binary> binary = nvrtc_->Compile(
      StreamText(kernel), loader_->builder().architecture(), &log);
  if (!binary.ok()) {
    return absl::InternalError(absl::StrCat(binary.status().message(), log));
  }
  auto stream = std::make_unique<Stream>(this, kernel);
  const CuFunctions& cuda = context_->cuda();
  status = context_->Check(
      "cuModuleLoadData",
      cuda.ModuleLoadData(&stream->module_, binary->cubin.data()));
  if (!status.ok()) return status;
  status = context_->Check(
      "cuModuleGetFunction",
      cuda.ModuleGetFunction(&stream->function_, stream->module_,
                             KernelEntryName(KernelEntry::kRun)));
  if (!status.ok()) return status;
  return stream;
}

KernelTimer::Stream::~Stream() {
  if (module_ != nullptr && timer_.context_->Enter().ok()) {
    timer_.context_->cuda().ModuleUnload(module_);
  }
}

absl::Status KernelTimer::Stream::Launch(const StreamLaunch& launch) const {
  // The driver copies the argument before it returns; it does not write to it.
  void* parameters[] = {const_cast<uint64_t*>(launch.argument.data())};
  return timer_.context_->Check(
      "cuLaunchKernel",
      timer_.context_->cuda().LaunchKernel(
          function_, launch.grid, 1, 1, StreamKernel::kThreads, 1, 1, 0,
          timer_.stream_, parameters, nullptr));
}

absl::StatusOr<double> KernelTimer::SecondsOf(
    int64_t first, int64_t calls,
    absl::FunctionRef<absl::Status(int64_t i)> call) {
  const CuFunctions& cuda = context_->cuda();
  absl::Status status =
      context_->Check("cuEventRecord", cuda.EventRecord(begin_, stream_));
  for (int64_t i = first; i < first + calls && status.ok(); ++i) {
    status = call(i);
  }
  if (status.ok()) status = Wait();
  if (!status.ok()) return status;
  float milliseconds = 0;
  status = context_->Check("cuEventElapsedTime",
                           cuda.EventElapsedTime(&milliseconds, begin_, end_));
  if (!status.ok()) return status;
  return milliseconds * 1e-3;
}

absl::StatusOr<KernelTimer::Time> KernelTimer::Measure(
    absl::FunctionRef<absl::Status(int64_t i)> call) {
  // Twice, since the first launch of a kernel may have it copied in.
  int64_t next = 0;
  double seconds = 0;
  for (int64_t calls : {1, 4}) {
    absl::StatusOr<double> some = SecondsOf(next, calls, call);
    if (!some.ok()) return some.status();
    seconds = *some / static_cast<double>(calls);
    next += calls;
  }
  Time time;
  time.calls_in_block = std::clamp<int64_t>(
      std::llround(options_.block_seconds / std::max(seconds, 1e-7)), 1,
      kMaxCallsInBlock);
  std::vector<double> times;
  for (int b = 0; b < options_.num_blocks; ++b) {
    absl::StatusOr<double> block = SecondsOf(next, time.calls_in_block, call);
    if (!block.ok()) return block.status();
    times.push_back(*block / static_cast<double>(time.calls_in_block));
    next += time.calls_in_block;
  }
  std::sort(times.begin(), times.end());
  time.median = times[times.size() / 2];
  time.least = times.front();
  time.most = times.back();
  return time;
}

absl::StatusOr<KernelTimer::Ends> KernelTimer::RunOnce(
    absl::FunctionRef<absl::Status()> call, CuDeviceAddress output,
    int64_t size_bytes) {
  const CuFunctions& cuda = context_->cuda();
  const std::vector<std::byte> poison(kPeriodBytes, kPoison);
  Ends ends = {poison, poison};
  const CuDeviceAddress last = output + size_bytes - kPeriodBytes;
  absl::Status status;
  for (CuDeviceAddress place : {output, last}) {
    status.Update(context_->Check(
        "cuMemcpyHtoDAsync",
        cuda.MemcpyHtoDAsync(place, poison.data(), kPeriodBytes, stream_)));
  }
  if (status.ok()) status = call();
  for (auto [to, from] : {std::pair(ends.first.data(), output),
                          std::pair(ends.last.data(), last)}) {
    status.Update(
        context_->Check("cuMemcpyDtoHAsync",
                        cuda.MemcpyDtoHAsync(to, from, kPeriodBytes, stream_)));
  }
  // Also after an error: the copies write to memory of this function.
  status.Update(Wait());
  if (!status.ok()) return status;
  if (ends.first == poison || ends.last == poison) {
    return absl::InternalError("an end of the output was not written");
  }
  return ends;
}

}  // namespace actserve
