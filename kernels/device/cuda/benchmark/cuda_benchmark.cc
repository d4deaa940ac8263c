// How fast kernels run on a GPU, beside what its memory allows in the same
// run: tensors lie on the device, which also keeps the time.
//
// Every kernel is run in all the ways that a launch can choose between: with
// and without streaming hints, and its table in global or shared memory. The
// ceilings are the project's own copies in several shapes, run beside the
// kernels. Prints Markdown tables with goals; --json has every time.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "kernels/activation/activation.h"
#include "kernels/catalog/catalog.h"
#include "kernels/device/cuda/benchmark/first_results.h"
#include "kernels/device/cuda/benchmark/kernel_report.h"
#include "kernels/device/cuda/benchmark/kernel_timer.h"
#include "kernels/device/cuda/benchmark/stream_text.h"
#include "kernels/graph/draws.h"

namespace actserve {
namespace {

// The exit code where a driver, a GPU or NVRTC is missing, as test runners
// have it.
constexpr int kCannotRunHere = 77;

struct Settings {
  KernelTimer::Options timer;
  std::vector<std::string> functions = {
      "relu",     "spiky", "silu",  "gelu", "gelu_tanh", "mish",
      "softplus", "elu",   "prelu", "tanh", "sigmoid"};
  std::vector<std::string> dtypes = {"bfloat16", "float32", "float16",
                                     "float64"};
  std::vector<int64_t> tensor_bytes = {
      int64_t{2} << 30, int64_t{1} << 30, int64_t{256} << 20, int64_t{64} << 20,
      int64_t{8} << 20, int64_t{1} << 20, int64_t{64} << 10};
  // Functions of rows, at one of the sizes.
  std::vector<std::string> row_functions = {"softmax", "log_softmax",
                                            "rms_norm", "standardize"};
  std::vector<std::string> row_dtypes = {"bfloat16", "float32"};
  std::vector<std::string> rows = {"32",    "128",   "1024",    "4096",
                                   "16384", "65536", "1048576", "1024x64"};
  int64_t row_tensor_bytes = int64_t{256} << 20;
  std::vector<int> ceiling_vectors = {1, 2, 4, 8};
  int first_results = 11;
  int compile_threads = 8;
  double max_seconds = 100;
  std::string pytorch_file;
  std::string no_pytorch = "no times of it were given";
  std::string json_file;
};

// A kernel to be timed.
struct Kernel {
  std::string function;
  Direction direction = Direction::kForward;
  DType dtype = DType::kFloat32;
  LoweredProgram lowered;
  // Null, and why in `failure`, if it could not be made.
  std::shared_ptr<CudaProgram> program;
  absl::Status failure;
  DeviceBlock table;
  // The ends of an output, as each way to run the kernel must write them.
  std::vector<std::byte> result;
};

// A way to run one.
struct Way {
  KernelEntry entry = KernelEntry::kRun;
  bool streaming = false;
};

// "silu, gradient, float32".
std::string NameOf(const Kernel& kernel) {
  return absl::StrCat(kernel.function, ", ", DirectionName(kernel.direction),
                      ", ", std::string(DTypeName(kernel.dtype)));
}

TablePlace PlaceOf(const Kernel& kernel, const Way& way) {
  if (!kernel.program->layout().has_table()) return TablePlace::kNone;
  return way.entry == KernelEntry::kRunShared ? TablePlace::kShared
                                              : TablePlace::kGlobal;
}

template <typename T>
bool Contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// Size and stride of "1024" or "1024x64".
std::pair<int64_t, int64_t> RowsNamed(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, 'x');
  return {std::stoll(parts[0]), parts.size() > 1 ? std::stoll(parts[1]) : 1};
}

absl::StatusOr<LoweredProgram> Lower(const std::string& function,
                                     Direction direction, DType dtype) {
  const CatalogEntry* const entry = FindInCatalog(function);
  if (entry == nullptr) {
    return absl::NotFoundError(absl::StrCat("no built-in is named ", function));
  }
  absl::StatusOr<std::shared_ptr<const Activation>> activation =
      Activation::Create(entry->text, Activation::Options(), nullptr);
  if (!activation.ok()) return activation.status();
  if (direction == Direction::kForward) {
    return (*activation)->LowerForward(dtype, {});
  }
  std::vector<std::string> wrt = (*activation)->inputs();
  if (direction == Direction::kGradientWithParameters) {
    for (const Parameter& parameter : (*activation)->parameters()) {
      wrt.push_back(parameter.name);
    }
  }
  return (*activation)->LowerBackward(dtype, wrt);
}

class Benchmark {
 public:
  explicit Benchmark(Settings settings)
      : settings_(std::move(settings)),
        deadline_(
            std::chrono::steady_clock::now() +
            std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                std::chrono::duration<double>(settings_.max_seconds))) {}

  // Fills report(), also up to an error. What fails alone is among
  // report().failed, and the rest goes on.
  //   Unavailable  the device is lost
  // and what keeps all from running.
  absl::Status Run();
  const KernelReport& report() const { return report_; }
  bool has_gpu() const { return timer_ != nullptr; }

 private:
  absl::Status TimeFirst();
  absl::Status MakeKernels();
  void CompileKernels();
  absl::Status MakeCeilings();
  absl::Status MakeCeiling(const StreamKernel& kernel);
  absl::Status FillTable(Kernel& kernel);
  absl::Status TimeSize(DType dtype, int64_t tensor_bytes);
  absl::Status TimeCeilings(DType dtype, int64_t tensor_bytes);
  absl::Status TimeCeiling(KernelTimer::Stream& stream,
                           const std::vector<std::byte>& numbers, DType dtype,
                           int64_t tensor_bytes);
  absl::Status TimeMemcpy(DType dtype, int64_t tensor_bytes);
  absl::Status TimeKernel(Kernel& kernel, const Way& way, int64_t tensor_bytes);
  absl::Status TimeAllRows(const Kernel& kernel, int64_t tensor_bytes);
  absl::Status TimeRows(const Kernel& kernel, int64_t row_size,
                        int64_t row_stride, int64_t tensor_bytes);
  absl::Status AddKernel(const std::string& function, Direction direction,
                         DType dtype);
  absl::StatusOr<std::vector<PackedLaunch>> Pack(
      const Kernel& kernel, const Way& way, int64_t tensor_bytes,
      const KernelTimer::Tensors& tensors, CuDeviceAddress tile_sums) const;

  bool IsOutOfTime() const {
    return std::chrono::steady_clock::now() > deadline_;
  }
  void LeaveOut(absl::string_view what, absl::string_view why) {
    report_.left_out.push_back(absl::StrCat(what, ": ", why));
  }
  // Reports that `what` ended with `status`. Returns OK if other measurements
  // may go on.
  absl::Status Report(absl::string_view what, const absl::Status& status) {
    if (status.ok() || absl::IsUnavailable(status)) return status;
    report_.failed.push_back(absl::StrCat(what, ": ", status.message()));
    return absl::OkStatus();
  }

  const Settings settings_;
  const std::chrono::steady_clock::time_point deadline_;
  KernelReport report_;
  std::unique_ptr<KernelTimer> timer_;
  std::vector<std::unique_ptr<KernelTimer::Stream>> ceilings_;
  std::vector<Kernel> kernels_;
};

absl::StatusOr<DType> DTypeNamed(const std::string& name) {
  for (const DType dtype :
       {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64}) {
    if (DTypeName(dtype) == name) return dtype;
  }
  return absl::InvalidArgumentError(absl::StrCat(name, " is no dtype"));
}

absl::Status Benchmark::Run() {
  absl::StatusOr<std::unique_ptr<KernelTimer>> timer =
      KernelTimer::Create(settings_.timer);
  if (!timer.ok()) return timer.status();
  timer_ = *std::move(timer);
  report_.device = timer_->context().description();
  report_.nvrtc = timer_->nvrtc_version();
  report_.l2_bytes = timer_->l2_bytes();
  if (!timer_->no_pack().empty()) LeaveOut("the pack", timer_->no_pack());
  report_.no_pytorch = settings_.no_pytorch;
  if (!settings_.pytorch_file.empty()) {
    std::ifstream file(settings_.pytorch_file);
    report_.no_pytorch.clear();
    ReadPyTorch({std::istreambuf_iterator<char>(file), {}}, report_);
  }

  absl::Status status = Report("first results", TimeFirst());
  if (status.ok()) status = MakeKernels();
  if (status.ok()) status = MakeCeilings();
  for (const std::string& name : settings_.dtypes) {
    if (!status.ok()) return status;
    const DType dtype = *DTypeNamed(name);
    status = timer_->Fill(dtype);
    if (!status.ok()) {
      status = Report(name, status);
      continue;
    }
    for (const int64_t tensor_bytes : settings_.tensor_bytes) {
      const std::string what = absl::StrCat(name, ", ", tensor_bytes, " bytes");
      if (!status.ok()) return status;
      if (tensor_bytes > timer_->max_tensor_bytes()) {
        LeaveOut(what, "not enough device memory");
      } else if (IsOutOfTime()) {
        LeaveOut(what, "no time was left");
      } else {
        status = TimeSize(dtype, tensor_bytes);
      }
    }
  }
  return status;
}

absl::Status Benchmark::TimeFirst() {
  if (settings_.first_results == 0) return absl::OkStatus();
  CudaDevice::Options options;
  options.ordinal = settings_.timer.ordinal;
  absl::StatusOr<FirstResults> found =
      TimeFirstResults(options, settings_.first_results);
  if (!found.ok()) return found.status();
  report_.first_results = *found;
  return absl::OkStatus();
}

absl::Status Benchmark::MakeKernels() {
  for (const std::string& dtype_name : settings_.dtypes) {
    absl::StatusOr<DType> dtype = DTypeNamed(dtype_name);
    if (!dtype.ok()) return dtype.status();
    for (const std::string& function : settings_.functions) {
      for (const Direction direction :
           {Direction::kForward, Direction::kGradient,
            Direction::kGradientWithParameters}) {
        absl::Status status = AddKernel(function, direction, *dtype);
        if (!status.ok()) return status;
      }
    }
    if (!Contains(settings_.row_dtypes, dtype_name) ||
        !Contains(settings_.tensor_bytes, settings_.row_tensor_bytes)) {
      continue;
    }
    for (const std::string& function : settings_.row_functions) {
      for (const Direction direction :
           {Direction::kForward, Direction::kGradient}) {
        absl::Status status = AddKernel(function, direction, *dtype);
        if (!status.ok()) return status;
      }
    }
  }
  CompileKernels();
  for (Kernel& kernel : kernels_) {
    if (kernel.failure.ok() && kernel.program == nullptr) {
      LeaveOut(NameOf(kernel), "no time was left to compile it");
      continue;
    }
    absl::Status status = kernel.failure;
    if (status.ok()) status = FillTable(kernel);
    if (status.ok()) continue;
    kernel.program = nullptr;
    status = Report(NameOf(kernel), status);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Benchmark::AddKernel(const std::string& function,
                                  Direction direction, DType dtype) {
  absl::StatusOr<LoweredProgram> lowered = Lower(function, direction, dtype);
  if (!lowered.ok()) return lowered.status();
  const int num_inputs = lowered->num_tensor_inputs();
  const int wanted_inputs = direction == Direction::kForward ? 1 : 2;
  if (num_inputs != wanted_inputs) {
    return absl::InvalidArgumentError(
        absl::StrCat(function, ": want a function of one tensor"));
  }
  // Without parameters it is the gradient again.
  if (direction == Direction::kGradientWithParameters &&
      lowered->graph.outputs.size() < 2) {
    return absl::OkStatus();
  }
  Kernel& kernel = kernels_.emplace_back();
  kernel.function = function;
  kernel.direction = direction;
  kernel.dtype = dtype;
  kernel.lowered = *std::move(lowered);
  return absl::OkStatus();
}

// On several threads: it is most of the time otherwise.
void Benchmark::CompileKernels() {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < settings_.compile_threads; ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < kernels_.size() && !IsOutOfTime();
           i = next++) {
        absl::StatusOr<std::shared_ptr<CudaProgram>> program =
            timer_->Load(kernels_[i].lowered);
        kernels_[i].failure = program.status();
        if (program.ok()) kernels_[i].program = *std::move(program);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

absl::Status Benchmark::MakeCeilings() {
  for (const int reads : {1, 2}) {
    for (const int vectors : settings_.ceiling_vectors) {
      for (const bool streaming : {false, true}) {
        const StreamKernel kernel = {
            .reads = reads, .vectors = vectors, .streaming = streaming};
        absl::Status status =
            Report(absl::StrCat("a ceiling's ", vectors, " vectors of ", reads),
                   MakeCeiling(kernel));
        if (!status.ok()) return status;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Benchmark::MakeCeiling(const StreamKernel& kernel) {
  absl::StatusOr<std::unique_ptr<KernelTimer::Stream>> stream =
      timer_->LoadStream(kernel);
  if (stream.ok()) ceilings_.push_back(*std::move(stream));
  return stream.status();
}

absl::Status Benchmark::FillTable(Kernel& kernel) {
  const LaunchLayout& layout = kernel.program->layout();
  if (!layout.has_table()) return absl::OkStatus();
  absl::StatusOr<DeviceBlock> table = timer_->Allocate(layout.table_bytes());
  if (!table.ok()) return table.status();
  kernel.table = *std::move(table);
  LaunchSegment segment;
  segment.table = kernel.table.address();
  for (const Parameter& parameter : kernel.lowered.graph.parameters) {
    segment.parameters.push_back(parameter.default_value);
  }
  absl::StatusOr<PackedLaunch> launch = PackLaunch(
      layout, KernelEntry::kFillTable, absl::MakeConstSpan(&segment, 1), {});
  if (!launch.ok()) return launch.status();
  return kernel.program->Launch(*launch, timer_->stream());
}

absl::Status Benchmark::TimeSize(DType dtype, int64_t tensor_bytes) {
  absl::Status status = TimeCeilings(dtype, tensor_bytes);
  for (Kernel& kernel : kernels_) {
    if (kernel.dtype != dtype || kernel.program == nullptr) continue;
    if (kernel.program->layout().has_rows()) {
      if (status.ok()) status = TimeAllRows(kernel, tensor_bytes);
      continue;
    }
    const bool has_sums = kernel.program->layout().num_sums() > 0;
    for (const KernelEntry entry :
         {KernelEntry::kRun, KernelEntry::kRunShared}) {
      for (const bool streaming : {false, true}) {
        if (!status.ok()) return status;
        if (!kernel.program->layout().has_entry(entry)) continue;
        // A sum reads element by element, and takes no hint.
        if (has_sums && streaming) continue;
        status =
            Report(absl::StrCat(NameOf(kernel), ", ", tensor_bytes, " bytes"),
                   TimeKernel(kernel, {entry, streaming}, tensor_bytes));
      }
    }
  }
  // Again, should the card have become warmer or slower meanwhile.
  if (status.ok()) status = TimeCeilings(dtype, tensor_bytes);
  if (!status.ok()) return status;
  return Report(absl::StrCat("memcpy, ", tensor_bytes, " bytes"),
                TimeMemcpy(dtype, tensor_bytes));
}

absl::Status Benchmark::TimeCeilings(DType dtype, int64_t tensor_bytes) {
  const std::vector<std::byte> numbers = KernelTimer::Numbers(dtype);
  for (const std::unique_ptr<KernelTimer::Stream>& stream : ceilings_) {
    absl::Status status =
        Report(absl::StrCat("a ceiling's ", stream->kernel().vectors,
                            " vectors of ", stream->kernel().reads, ", ",
                            std::string(DTypeName(dtype)), ", ", tensor_bytes,
                            " bytes"),
               TimeCeiling(*stream, numbers, dtype, tensor_bytes));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// `numbers` are what a period of an input holds.
absl::Status Benchmark::TimeCeiling(KernelTimer::Stream& stream,
                                    const std::vector<std::byte>& numbers,
                                    DType dtype, int64_t tensor_bytes) {
  const int reads = stream.kernel().reads;
  std::vector<StreamLaunch> launches;
  const auto sets = timer_->Rotation(reads, tensor_bytes);
  for (const KernelTimer::Tensors& set : sets) {
    launches.push_back(
        PackStream(stream.kernel(), tensor_bytes, set.inputs, set.output));
  }
  absl::StatusOr<KernelTimer::Ends> ends = timer_->RunOnce(
      [&] { return stream.Launch(launches[0]); }, sets[0].output, tensor_bytes);
  if (!ends.ok()) return ends.status();
  // x ^ x of two equal inputs.
  const std::vector<std::byte> want =
      reads == 1 ? numbers : std::vector<std::byte>(numbers.size());
  if (ends->first != want || ends->last != want) {
    return absl::InternalError("its copy is wrong");
  }
  absl::StatusOr<KernelTimer::Time> time = timer_->Measure(
      [&](int64_t i) { return stream.Launch(launches[i % launches.size()]); });
  if (!time.ok()) return time.status();
  KernelTime found;
  found.function = reads == 1 ? "copy" : "triad";
  found.dtype = dtype;
  found.tensor_bytes = tensor_bytes;
  found.num_tensors = reads + 1;
  found.vectors = stream.kernel().vectors;
  found.streaming = stream.kernel().streaming;
  found.time = *time;
  report_.ceilings.push_back(found);
  return absl::OkStatus();
}

absl::Status Benchmark::TimeMemcpy(DType dtype, int64_t tensor_bytes) {
  const auto sets = timer_->Rotation(1, tensor_bytes);
  absl::StatusOr<KernelTimer::Time> time = timer_->Measure([&](int64_t i) {
    const KernelTimer::Tensors& set = sets[i % sets.size()];
    return timer_->Copy(set.output, set.inputs[0], tensor_bytes);
  });
  if (!time.ok()) return time.status();
  KernelTime found;
  found.function = "memcpy";
  found.dtype = dtype;
  found.tensor_bytes = tensor_bytes;
  found.num_tensors = 2;
  found.time = *time;
  report_.ceilings.push_back(found);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PackedLaunch>> Benchmark::Pack(
    const Kernel& kernel, const Way& way, int64_t tensor_bytes,
    const KernelTimer::Tensors& tensors, CuDeviceAddress tile_sums) const {
  const LaunchLayout& layout = kernel.program->layout();
  LaunchSegment segment;
  segment.num_elements = tensor_bytes / ItemSizeBytes(kernel.dtype);
  segment.inputs.assign(tensors.inputs.begin(), tensors.inputs.end());
  segment.outputs = {tensors.output};
  segment.table = kernel.table.address();
  segment.tile_sums = tile_sums;
  segment.sums = tile_sums + DevicePool::Padded(
                                 layout.tile_sums_bytes(segment.num_elements));
  for (const Parameter& parameter : kernel.lowered.graph.parameters) {
    segment.parameters.push_back(parameter.default_value);
  }
  segment.draws =
      DrawWords(kernel.lowered.graph,
                {segment.parameters.data(), segment.parameters.size()}, 0);
  LaunchOptions options;
  options.streaming = way.streaming;
  options.num_multiprocessors = timer_->context().num_multiprocessors();
  options.window = kernel.program->window();
  std::vector<PackedLaunch> launches;
  for (const KernelEntry entry : {way.entry, KernelEntry::kFinishSums}) {
    if (!layout.has_entry(entry)) continue;
    absl::StatusOr<PackedLaunch> launch =
        PackLaunch(layout, entry, absl::MakeConstSpan(&segment, 1), options);
    if (!launch.ok()) return launch.status();
    launches.push_back(*std::move(launch));
  }
  return launches;
}

absl::Status Benchmark::TimeKernel(Kernel& kernel, const Way& way,
                                   int64_t tensor_bytes) {
  const LaunchLayout& layout = kernel.program->layout();
  const int64_t num_elements = tensor_bytes / ItemSizeBytes(kernel.dtype);
  DeviceBlock sums;
  if (layout.num_sums() > 0) {
    absl::StatusOr<DeviceBlock> block = timer_->Allocate(
        DevicePool::Padded(layout.tile_sums_bytes(num_elements)) +
        layout.num_sums() * static_cast<int64_t>(sizeof(double)));
    if (!block.ok()) return block.status();
    sums = *std::move(block);
  }
  const auto sets = timer_->Rotation(layout.num_inputs(), tensor_bytes);
  std::vector<std::vector<PackedLaunch>> calls;
  for (const KernelTimer::Tensors& set : sets) {
    absl::StatusOr<std::vector<PackedLaunch>> launches =
        Pack(kernel, way, tensor_bytes, set, sums.address());
    if (!launches.ok()) return launches.status();
    calls.push_back(*std::move(launches));
  }
  const auto call = [&](int64_t i) {
    const std::vector<PackedLaunch>& launches = calls[i % calls.size()];
    absl::Status status = kernel.program->Launch(launches[0], timer_->stream());
    if (launches.size() > 1 && status.ok()) {
      status = kernel.program->Launch(launches[1], timer_->stream());
    }
    return status;
  };

  absl::StatusOr<KernelTimer::Ends> ends =
      timer_->RunOnce([&] { return call(0); }, sets[0].output, tensor_bytes);
  if (!ends.ok()) return ends.status();
  if (kernel.result.empty()) kernel.result = ends->first;
  if (ends->first != kernel.result || ends->last != kernel.result) {
    return absl::InternalError("the ways to run it differ in their results");
  }
  absl::StatusOr<KernelTimer::Time> time = timer_->Measure(call);
  if (!time.ok()) return time.status();
  KernelTime found;
  found.function = kernel.function;
  found.direction = kernel.direction;
  found.dtype = kernel.dtype;
  found.tensor_bytes = tensor_bytes;
  found.num_tensors = layout.num_inputs() + 1;
  found.table = PlaceOf(kernel, way);
  found.streaming = way.streaming;
  found.time = *time;
  report_.kernels.push_back(found);
  return absl::OkStatus();
}

absl::Status Benchmark::TimeAllRows(const Kernel& kernel,
                                    int64_t tensor_bytes) {
  if (tensor_bytes != settings_.row_tensor_bytes) return absl::OkStatus();
  for (const std::string& rows : settings_.rows) {
    const auto [size, stride] = RowsNamed(rows);
    const std::string what = absl::StrCat(NameOf(kernel), ", rows of ", rows);
    const int64_t together = size * stride * ItemSizeBytes(kernel.dtype);
    if (tensor_bytes % together != 0) {
      LeaveOut(what, "they do not fill a tensor");
    } else if (IsOutOfTime()) {
      LeaveOut(what, "no time was left");
    } else {
      absl::Status status =
          Report(what, TimeRows(kernel, size, stride, tensor_bytes));
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Benchmark::TimeRows(const Kernel& kernel, int64_t row_size,
                                 int64_t row_stride, int64_t tensor_bytes) {
  const LaunchLayout& layout = kernel.program->layout();
  LaunchSegment segment;
  segment.num_elements = tensor_bytes / ItemSizeBytes(kernel.dtype);
  segment.row_size = row_size;
  segment.row_stride = row_stride;
  for (const Parameter& parameter : kernel.lowered.graph.parameters) {
    segment.parameters.push_back(parameter.default_value);
  }
  absl::StatusOr<DeviceBlock> scratch = timer_->Allocate(std::max<int64_t>(
      layout.scratch_bytes(segment.num_elements, row_size), 1));
  if (!scratch.ok()) return scratch.status();
  segment.scratch = scratch->address();
  const auto sets = timer_->Rotation(layout.num_inputs(), tensor_bytes);
  std::vector<std::vector<PackedLaunch>> calls;
  for (const KernelTimer::Tensors& set : sets) {
    segment.inputs.assign(set.inputs.begin(), set.inputs.end());
    segment.outputs = {set.output};
    absl::StatusOr<std::vector<PackedLaunch>> launches =
        PackRows(layout, absl::MakeConstSpan(&segment, 1));
    if (!launches.ok()) return launches.status();
    calls.push_back(*std::move(launches));
  }
  const auto call = [&](int64_t i) {
    absl::Status status;
    for (const PackedLaunch& launch : calls[i % calls.size()]) {
      if (status.ok()) {
        status = kernel.program->Launch(launch, timer_->stream());
      }
    }
    return status;
  };

  // Inputs repeat, and rows with them.
  absl::StatusOr<KernelTimer::Ends> ends =
      timer_->RunOnce([&] { return call(0); }, sets[0].output, tensor_bytes);
  if (!ends.ok()) return ends.status();
  if (ends->first != ends->last) {
    return absl::InternalError("equal rows differ in their results");
  }
  absl::StatusOr<KernelTimer::Time> time = timer_->Measure(call);
  if (!time.ok()) return time.status();
  KernelTime found;
  found.function = kernel.function;
  found.direction = kernel.direction;
  found.dtype = kernel.dtype;
  found.tensor_bytes = tensor_bytes;
  found.num_tensors = layout.num_inputs() + 1;
  found.row_size = row_size;
  found.row_stride = row_stride;
  found.time = *time;
  report_.rows.push_back(found);
  return absl::OkStatus();
}

absl::Status CheckSizes(const std::vector<int64_t>& tensor_bytes) {
  for (const int64_t size : tensor_bytes) {
    if (size < 1 || size % KernelTimer::kPeriodBytes != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("a tensor of ", size, " bytes: want a multiple of ",
                       KernelTimer::kPeriodBytes));
    }
  }
  return absl::OkStatus();
}

// For CLI11: why `rows` is none, or "".
std::string CheckRows(const std::string& rows) {
  const std::vector<std::string> parts = absl::StrSplit(rows, 'x');
  bool is_good = parts.size() <= 2;
  for (const std::string& part : parts) {
    int32_t number = 0;
    is_good &= absl::SimpleAtoi(part, &number) && number > 0;
  }
  return is_good ? "" : rows + ": want a size, or as 1024x64";
}

int Main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Settings settings;
  CLI::App app("Times kernels on a GPU beside copies of the same bytes.");
  app.add_option("--ordinal", settings.timer.ordinal, "Which GPU")
      ->capture_default_str();
  app.add_option("--functions", settings.functions,
                 "Built-ins of one tensor input")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--dtypes", settings.dtypes, "In this order")
      ->delimiter(',')
      ->check(CLI::IsMember({"bfloat16", "float16", "float32", "float64"}))
      ->capture_default_str();
  app.add_option("--tensor_bytes", settings.tensor_bytes,
                 "Sizes of one tensor, in this order")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--row_functions", settings.row_functions,
                 "Built-ins of one tensor input that read rows")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--rows", settings.rows,
                 "Elements of their rows, or with how far they lie apart")
      ->delimiter(',')
      ->check(CLI::Validator(CheckRows, "SIZE or SIZExSTRIDE"))
      ->capture_default_str();
  app.add_option("--row_tensor_bytes", settings.row_tensor_bytes,
                 "Which of the sizes their tensors have")
      ->capture_default_str();
  app.add_option("--ceiling_vectors", settings.ceiling_vectors,
                 "Vectors in flight of the copies that are tried")
      ->delimiter(',')
      ->check(CLI::IsMember({1, 2, 4, 8, 16}))
      ->capture_default_str();
  app.add_option("--blocks", settings.timer.num_blocks,
                 "Blocks of launches that a median is taken of")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--block_seconds", settings.timer.block_seconds,
                 "About how long each of them")
      ->capture_default_str();
  app.add_option("--first_results", settings.first_results,
                 "Functions that first results are timed of; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--compile_threads", settings.compile_threads)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--pack", settings.timer.pack,
                 "File of precompiled built-ins");
  app.add_option("--max_seconds", settings.max_seconds,
                 "After which what was not begun is left out")
      ->capture_default_str();
  app.add_option("--pytorch", settings.pytorch_file,
                 "What gpu_check_pytorch wrote");
  app.add_option("--no_pytorch", settings.no_pytorch,
                 "Why there is no such file");
  app.add_option("--json", settings.json_file, "Where to write every time");
  CLI11_PARSE(app, argc, argv);

  if (absl::Status status = CheckSizes(settings.tensor_bytes); !status.ok()) {
    std::cerr << "cuda_benchmark: " << status.message() << "\n";
    return 1;
  }
  settings.timer.max_tensor_bytes = *std::max_element(
      settings.tensor_bytes.begin(), settings.tensor_bytes.end());
  Benchmark benchmark(settings);
  const absl::Status status = benchmark.Run();
  if (benchmark.has_gpu()) std::cout << ToMarkdown(benchmark.report());
  if (!settings.json_file.empty()) {
    std::ofstream(settings.json_file)
        << ToJson(benchmark.report()).dump(1) << "\n";
  }
  if (status.ok()) return benchmark.report().failed.empty() ? 0 : 1;
  std::cerr << "cuda_benchmark: " << status.message() << "\n";
  return benchmark.has_gpu() ? 1 : kCannotRunHere;
}

}  // namespace
}  // namespace actserve

int main(int argc, char** argv) { return actserve::Main(argc, argv); }
