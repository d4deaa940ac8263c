#include "kernels/device/cpu/cpu_device.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/cpu/broadcast_run.h"
#include "kernels/device/cpu/machine/past_caches.h"
#include "kernels/device/cpu/read/element_runs.h"
#include "kernels/device/cpu/reduce/reductions.h"
#include "kernels/device/cpu/rows/row_program.h"
#include "kernels/device/cpu/table.h"
#include "kernels/device/work_item.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// Elements that go through several passes (one table per output, or
// contributions that are then summed) do so in blocks that stay in cache.
constexpr int64_t kBlockElements = 8192;

// The least work for another thread that is awake.
constexpr int64_t kMinElementsAwake = 2 * kBlockElements;
static_assert(kMinElementsAwake % kSumTileElements == 0);

// Half of the last-level cache, as an output competes with inputs for it.
// Shared by all that runs on the machine, and virtual machines report the
// whole host's, hence the bound.
int64_t DefaultNonTemporalThreshold() {
  constexpr int64_t kMin = int64_t{4} << 20;
  constexpr int64_t kMax = int64_t{16} << 20;
  return std::clamp<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE) / 2, kMin, kMax);
}

// The processor's name for people, from the system.
std::string ProcessorName(const std::string& fallback) {
#if defined(__x86_64__)
  unsigned registers[12] = {};
  unsigned* next = registers;
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf, next += 4) {
    __asm__("cpuid"
            : "=a"(next[0]), "=b"(next[1]), "=c"(next[2]), "=d"(next[3])
            : "a"(leaf), "c"(0));
  }
  std::string name(
      reinterpret_cast<const char*>(registers),
      strnlen(reinterpret_cast<const char*>(registers), sizeof(registers)));
  const size_t first = name.find_first_not_of(' ');
  if (first != std::string::npos) {
    return name.substr(first, name.find_last_not_of(' ') - first + 1);
  }
#endif
  return fallback;
}

// The parameters as kernels take them, in the compute type.
std::string PackParameters(const LoweredProgram& program,
                           absl::Span<const double> parameters) {
  std::string packed;
  for (double parameter : parameters) {
    const float single = static_cast<float>(parameter);
    if (program.compute == DType::kFloat64) {
      packed.append(reinterpret_cast<const char*>(&parameter),
                    sizeof(parameter));
    } else {
      packed.append(reinterpret_cast<const char*>(&single), sizeof(single));
    }
  }
  return packed;
}

}  // namespace

// One item on its way through Run().
struct CpuDevice::Plan {
  const CpuProgram* program = nullptr;
  WorkItem* item = nullptr;
  std::string parameters;
  // DrawWords() of the item's first element.
  std::vector<uint64_t> draws;
  KernelFunction plain = nullptr;
  // If the outputs are to be written past the caches (with a table: a value
  // that is not called).
  bool non_temporal = false;
  KernelFunction non_temporal_kernel = nullptr;
  std::shared_ptr<const ProgramTable> table;
  // Per summed output, one sum per tile.
  std::vector<std::vector<double>> tile_sums;

  const LoweredProgram& lowered() const { return program->lowered(); }
  bool has_sums() const { return !tile_sums.empty(); }

  // Elements [begin, begin + count), whose inputs are contiguous at `data`.
  // Outputs are aligned if `aligned`; contributions to sums, or derivatives,
  // go to `scratch`.
  void RunContiguous(const void* const* data, int64_t begin, int64_t count,
                     bool aligned, const std::vector<void*>& scratch) const {
    const int64_t item_size = ItemSizeBytes(lowered().storage);
    if (table != nullptr) {
      std::byte* to = item->outputs[0] + begin * item_size;
      if (lowered().rule == LoweredProgram::Rule::kDerivative16) {
        ApplyDerivativeTable(table->derivatives.data(), lowered().storage,
                             data[0], data[1], count, aligned, to);
        return;
      }
      for (size_t o = 0; o < item->outputs.size(); ++o) {
        ApplyTable(table->results[o].data(), data[0], count, aligned,
                   item->outputs[o] + begin * item_size);
      }
      return;
    }
    if (lowered().rule == LoweredProgram::Rule::kDerivative16) {
      plain(data, scratch.data(), parameters.data(), count);
      ApplyDerivatives(static_cast<const float*>(scratch[0]), lowered().storage,
                       data[1], count, item->outputs[0] + begin * item_size);
      return;
    }
    absl::InlinedVector<void*, 8> outputs;
    size_t tensor = 0;
    size_t sum = 0;
    for (const Output& output : lowered().graph.outputs) {
      outputs.push_back(output.summed
                            ? scratch[sum++]
                            : item->outputs[tensor++] + begin * item_size);
    }
    const KernelFunction kernel = aligned ? non_temporal_kernel : plain;
    if (draws.empty()) {
      kernel(data, outputs.data(), parameters.data(), count);
      return;
    }
    std::vector<uint64_t> words = draws;
    words[0] += begin;
    std::vector<const void*> inputs(data, data + item->inputs.size());
    inputs.push_back(words.data());
    kernel(inputs.data(), outputs.data(), parameters.data(), count);
  }

  // Adds up what the ranges left.
  void Finish() {
    item->sums.clear();
    for (std::vector<double>& sums : tile_sums) {
      item->sums.push_back(SumTiles(absl::MakeSpan(sums)));
    }
  }
};

CpuDevice::CpuDevice(const Options& options,
                     std::shared_ptr<KernelBuilder> builder)
    : options_(options),
      builder_(std::move(builder)),
      tables_(options.max_table_bytes),
      programs_({.max_programs = options.max_programs,
                 .max_size_bytes = options.max_code_bytes}),
      threads_(options.num_threads, options.spin) {
  description_ =
      absl::StrCat(ProcessorName(builder_->compiler().cpu()), " (",
                   builder_->compiler().cpu(), "), ", options_.num_threads,
                   options_.num_threads == 1 ? " thread" : " threads",
                   builder_->compiler().has_avx512() ? ", AVX-512" : ", AVX2");
}

absl::StatusOr<std::unique_ptr<CpuDevice>> CpuDevice::Create(
    const Options& given) {
  Options options = given;
  if (options.num_threads == 0) {
    options.num_threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  if (options.num_threads < 0 || options.num_threads > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_threads ", options.num_threads, ": want 0 to 4096"));
  }
  if (options.min_elements_per_task <= 0 ||
      options.min_elements_per_task % kSumTileElements != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("min_elements_per_task ", options.min_elements_per_task,
                     ": want a positive multiple of ", kSumTileElements));
  }
  if (options.max_programs < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_programs ", options.max_programs, ": want >= 1"));
  }
  if (options.non_temporal_threshold_bytes < 0) {
    options.non_temporal_threshold_bytes = DefaultNonTemporalThreshold();
  }

  ACTSERVE_ASSIGN_OR_RETURN(std::unique_ptr<KernelCompiler> compiler,
                            KernelCompiler::Create({.cpu = options.cpu}));
  ACTSERVE_ASSIGN_OR_RETURN(std::unique_ptr<ObjectLoader> loader,
                            ObjectLoader::Create());
  std::unique_ptr<ObjectCache> cache;
  if (!options.cache_directory.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(cache,
                              ObjectCache::Open(options.cache_directory,
                                                options.max_disk_cache_bytes));
  }
  auto builder = std::make_shared<KernelBuilder>(
      std::move(compiler), std::move(loader), std::move(cache));
  return std::unique_ptr<CpuDevice>(new CpuDevice(options, std::move(builder)));
}

absl::StatusOr<std::shared_ptr<const Program>> CpuDevice::Compile(
    const LoweredProgram& program, const StopToken& stop) {
  return programs_.FindOrCompile(
      program.program_id, [&]() -> absl::StatusOr<ProgramCache::Compiled> {
        if (program.graph.HasRows()) {
          ACTSERVE_ASSIGN_OR_RETURN(
              std::shared_ptr<RowProgram> rows,
              RowProgram::Create(program, builder_, threads_.num_threads(),
                                 stop));
          const int64_t size_bytes = rows->object_size_bytes();
          return ProgramCache::Compiled{std::move(rows), size_bytes};
        }
        ACTSERVE_ASSIGN_OR_RETURN(std::shared_ptr<CpuProgram> compiled,
                                  CpuProgram::Create(program, builder_, stop));
        const int64_t size_bytes = compiled->object_size_bytes();
        return ProgramCache::Compiled{std::move(compiled), size_bytes};
      });
}

std::shared_ptr<const ProgramTable> CpuDevice::TableFor(
    const CpuProgram& program, const Plan& plan) {
  const LoweredProgram& lowered = program.lowered();
  if (lowered.rule == LoweredProgram::Rule::kDirect) return nullptr;
  const std::string key = absl::StrCat(lowered.program_id, plan.parameters);
  std::shared_ptr<const ProgramTable> table = tables_.Find(key);
  if (table != nullptr) return table;
  // Without parameters the table serves every later call as well, so the
  // elements of earlier calls count.
  const int64_t count = plan.item->num_elements;
  const int64_t evaluated =
      lowered.graph.parameters.empty()
          ? program.num_evaluated().fetch_add(count) + count
          : count;
  if (evaluated < options_.table_threshold_elements) return nullptr;
  table = program.MakeTable(plan.parameters.data());
  tables_.Insert(key, table);
  return table;
}

CpuDevice::Plan CpuDevice::MakePlan(const CpuProgram& program, WorkItem& item) {
  const LoweredProgram& lowered = program.lowered();
  Plan plan;
  plan.program = &program;
  plan.item = &item;
  plan.parameters = PackParameters(lowered, item.parameters);
  plan.draws = DrawWords(lowered.graph, item.parameters, item.element_offset);
  plan.plain = program.plain();
  plan.table = TableFor(program, plan);
  const int64_t num_tiles =
      (item.num_elements + kSumTileElements - 1) / kSumTileElements;
  for (const Output& output : lowered.graph.outputs) {
    if (output.summed) plan.tile_sums.emplace_back(num_tiles);
  }
  const int64_t output_bytes =
      item.outputs.size() * item.num_elements * ItemSizeBytes(lowered.storage);
  if (options_.non_temporal_threshold_bytes > 0 && !plan.has_sums() &&
      output_bytes >= options_.non_temporal_threshold_bytes) {
    if (plan.table == nullptr) {
      plan.non_temporal_kernel = program.non_temporal();
    }
    plan.non_temporal =
        plan.table != nullptr || plan.non_temporal_kernel != nullptr;
  }
  return plan;
}

// `begin` is a multiple of kSumTileElements.
void CpuDevice::RunRange(Plan& plan, int64_t begin, int64_t end) {
  const LoweredProgram& lowered = plan.lowered();
  const int64_t compute_size = ItemSizeBytes(lowered.compute);
  std::vector<std::byte> scratch_bytes(plan.tile_sums.size() *
                                       kSumTileElements * compute_size);
  std::vector<void*> scratch(plan.tile_sums.size());
  if (lowered.rule == LoweredProgram::Rule::kDerivative16 &&
      plan.table == nullptr) {
    scratch_bytes.resize(std::min(kBlockElements, end - begin) * sizeof(float));
    scratch = {scratch_bytes.data()};
  }

  ElementRuns runs(plan.item->inputs, ItemSizeBytes(lowered.storage), begin,
                   end);
  int64_t element = begin;
  for (;;) {
    // A run ends at the end of a tile, at a cache line of the output, or
    // where a block does.
    int64_t limit = end - begin;
    bool aligned = false;
    const int64_t in_tile = element % kSumTileElements;
    if (plan.has_sums()) limit = kSumTileElements - in_tile;
    if (plan.lowered().rule != LoweredProgram::Rule::kDirect) {
      limit = kBlockElements;
    }
    if (plan.non_temporal) {
      const auto head = ElementsToLine(plan.item->outputs, element,
                                       ItemSizeBytes(lowered.storage));
      aligned = head == 0;
      if (head > 0) limit = std::min(limit, *head);
    }
    const int64_t count = runs.Next(limit);
    if (count == 0) break;
    for (size_t s = 0; s < plan.tile_sums.size(); ++s) {
      scratch[s] = scratch_bytes.data() +
                   (s * kSumTileElements + in_tile) * compute_size;
    }
    plan.RunContiguous(runs.data(), element, count, aligned, scratch);
    element += count;
    if (plan.has_sums() &&
        (element % kSumTileElements == 0 || element == end)) {
      const int64_t tile = (element - 1) / kSumTileElements;
      const int64_t tile_elements = element - tile * kSumTileElements;
      for (size_t s = 0; s < plan.tile_sums.size(); ++s) {
        const std::byte* contributions =
            scratch_bytes.data() + s * kSumTileElements * compute_size;
        SumRuns(contributions, lowered.compute, tile_elements, 1,
                &plan.tile_sums[s][tile]);
      }
    }
  }
  if (plan.non_temporal) StoreFence();
}

absl::Status CpuDevice::Run(const Program& program,
                            absl::Span<WorkItem> items) {
  ACTSERVE_RETURN_IF_ERROR(
      CheckItems(program.lowered(), /*has_memory=*/false, items));
  const bool timed =
      std::any_of(items.begin(), items.end(),
                  [](const WorkItem& item) { return item.time_stages; });
  const auto run = [&] {
    const auto* rows = dynamic_cast<const RowProgram*>(&program);
    const bool has_parts =
        std::any_of(items.begin(), items.end(), [](const WorkItem& item) {
          return !item.input_parts.empty() || !item.output_parts.empty();
        });
    if (rows == nullptr &&
        (has_parts || program.lowered().num_broadcasts > 0)) {
      for (WorkItem& item : items) {
        RunBroadcasts(static_cast<const CpuProgram&>(program), item);
      }
      return absl::OkStatus();
    }
    if (rows == nullptr) {
      RunItems(static_cast<const CpuProgram&>(program), items);
      return absl::OkStatus();
    }
    const RowOptions options = {
        .min_elements_per_task = options_.min_elements_per_task,
        .non_temporal_threshold_bytes = options_.non_temporal_threshold_bytes};
    for (WorkItem& item : items) {
      ACTSERVE_RETURN_IF_ERROR(rows->Run(item, threads_, options));
    }
    return absl::OkStatus();
  };
  if (!timed) return run();
  const auto start = std::chrono::steady_clock::now();
  ACTSERVE_RETURN_IF_ERROR(run());
  const absl::Duration compute =
      absl::FromChrono(std::chrono::steady_clock::now() - start);
  for (WorkItem& item : items) item.stages = {.compute = compute};
  return absl::OkStatus();
}

void CpuDevice::RunBroadcasts(const CpuProgram& program, WorkItem& item) {
  const int64_t output_bytes = static_cast<int64_t>(item.outputs.size()) *
                               item.num_elements *
                               ItemSizeBytes(program.lowered().storage);
  const BroadcastRunOptions options = {
      .min_elements_per_task = options_.min_elements_per_task,
      .non_temporal = options_.non_temporal_threshold_bytes > 0 &&
                      output_bytes >= options_.non_temporal_threshold_bytes};
  RunWithBroadcasts(program, options, threads_, item);
}

void CpuDevice::RunItems(const CpuProgram& program,
                         absl::Span<WorkItem> items) {
  // Most calls are one item for one thread.
  int64_t least_per_task = options_.min_elements_per_task;
  if (items.size() == 1 && items[0].num_elements <= least_per_task &&
      items[0].num_elements > kMinElementsAwake && threads_.IsAwake()) {
    least_per_task = kMinElementsAwake;
  }
  if (items.size() == 1 && items[0].num_elements <= least_per_task) {
    Plan plan = MakePlan(program, items[0]);
    RunRange(plan, 0, items[0].num_elements);
    plan.Finish();
    return;
  }

  struct Task {
    Plan* plan;
    int64_t begin;
    int64_t end;
  };
  std::vector<Plan> plans;
  plans.reserve(items.size());
  std::vector<Task> tasks;
  int64_t total = 0;
  for (WorkItem& item : items) {
    Plan& plan = plans.emplace_back(MakePlan(program, item));
    // A few tasks per thread level out differences in speed.
    const int64_t per_task = std::max(
        least_per_task, item.num_elements / (4 * threads_.num_threads()) /
                            kSumTileElements * kSumTileElements);
    for (int64_t begin = 0; begin < item.num_elements; begin += per_task) {
      tasks.push_back(
          {&plan, begin, std::min(item.num_elements, begin + per_task)});
    }
    total += item.num_elements;
  }
  const auto run = [&](int64_t i) {
    RunRange(*tasks[i].plan, tasks[i].begin, tasks[i].end);
  };
  if (total <= least_per_task) {
    for (size_t i = 0; i < tasks.size(); ++i) run(i);
  } else {
    threads_.ParallelFor(tasks.size(), run);
  }
  for (Plan& plan : plans) plan.Finish();
}

}  // namespace actserve
