#include "kernels/device/cpu/broadcast_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "kernels/device/cpu/machine/past_caches.h"
#include "kernels/device/cpu/part_writer.h"
#include "kernels/device/cpu/read/broadcast_source.h"
#include "kernels/device/cpu/read/element_runs.h"
#include "kernels/device/cpu/reduce/reductions.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// Runs of one element that are at least so long are summed on their own; of
// shorter ones, those of a group are added up as they come.
constexpr int64_t kLongRun = 256;

// Runs so long may end inside a cache line.
constexpr int64_t kLongForLines = 4096;

// The elements of a call of a kernel whose terms are summed next.
constexpr int64_t kTermsAtOnce = kSumTileElements;

// The shape of a sum, as it is walked: `outer` blocks of `rows` rows of `width`
// runs of `run` neighbours. Runs and rows are summed, `outer` is left for
// SumOuterDimensions().
struct Walk {
  int64_t outer = 1;
  int64_t rows = 1;
  int64_t width = 1;
  int64_t run = 1;
  // True if there is a dimension of rows.
  bool sums_rows = false;
  // What is left to be summed of outer * width sums.
  Broadcast left;

  explicit Walk(const Broadcast& shape) {
    std::vector<Broadcast::Dimension> dimensions(shape.dimensions().begin(),
                                                 shape.dimensions().end());
    const auto take = [&](bool repeated) -> int64_t {
      if (dimensions.empty() || dimensions.back().repeated != repeated) {
        return 1;
      }
      const int64_t size = dimensions.back().size;
      dimensions.pop_back();
      return size;
    };
    run = take(true);
    width = take(false);
    if (run < kLongRun) {
      sums_rows = !dimensions.empty();
      rows = take(true);
    }
    for (const Broadcast::Dimension& dimension : dimensions) {
      outer *= dimension.size;
    }
    dimensions.push_back({width, false});
    left = Broadcast(dimensions);
  }

  int64_t num_groups() const { return (rows + kSumGroup - 1) / kSumGroup; }
  int64_t num_runs() const { return outer * rows * width; }
  int64_t tiles_per_run() const {
    return (run + kSumTileElements - 1) / kSumTileElements;
  }
  // Numbers that are kept until the end.
  int64_t num_partial_sums() const {
    return run >= kLongRun ? num_runs() * tiles_per_run()
                           : outer * num_groups() * width;
  }
};

// The shape of summed output `output`.
Broadcast ShapeOf(const Output& output, const WorkItem& item) {
  if (output.like >= 0) return item.broadcasts[output.like].shape;
  const Broadcast::Dimension all = {item.num_elements, true};
  return Broadcast(absl::MakeConstSpan(&all, 1));
}

// The sums that are taken while elements are computed are those of one shape.
// The terms of the others are written to arrays first.
const Output* FirstSummed(const LoweredProgram& program) {
  const Output* first = nullptr;
  for (const Output& output : program.graph.outputs) {
    if (!output.summed) continue;
    if (output.like >= 0) return &output;
    if (first == nullptr) first = &output;
  }
  return first;
}

// T is the compute type.
template <typename T>
class Runner {
 public:
  Runner(const CpuProgram& program, const BroadcastRunOptions& options,
         ThreadPool& threads, WorkItem& item)
      : lowered_(program.lowered()),
        options_(options),
        threads_(threads),
        item_(item),
        item_size_(ItemSizeBytes(lowered_.storage)),
        kernel_(program.plain()),
        parameters_(item.parameters.begin(), item.parameters.end()),
        draws_(
            DrawWords(lowered_.graph, item.parameters, item.element_offset)) {
    for (const BroadcastInput& input : item.broadcasts) {
      sources_.emplace_back(input, lowered_.storage);
    }
    int64_t run = std::numeric_limits<int64_t>::max();
    for (const BroadcastSource& source : sources_) {
      run = std::min(run, source.LongRun());
    }
    of_runs_ = run > 0 && !sources_.empty();
    if (of_runs_) {
      const KernelFunction kernel = program.plain_of_runs();
      of_runs_ = kernel != nullptr;
      if (of_runs_) kernel_ = kernel;
    }
    // A cache line that is written in two parts, past the caches, is slow.
    bool whole_lines = !of_runs_ || run >= kLongForLines ||
                       run * item_size_ % kCacheLineBytes == 0;
    for (const TensorPart& part : item.output_parts) {
      whole_lines &= PartWriter(nullptr, part, item_size_).WritesLines();
    }
    if (options.non_temporal && whole_lines &&
        FirstSummed(lowered_) == nullptr) {
      non_temporal_ =
          of_runs_ ? program.non_temporal_of_runs() : program.non_temporal();
    }
  }

  void Run() {
    if (const Output* first = FirstSummed(lowered_)) {
      const Broadcast shape = ShapeOf(*first, item_);
      SetTargets(&shape);
      RunAndSum(Walk(shape));
    } else {
      SetTargets(nullptr);
      RunPlain();
    }
    item_.sums.clear();
    for (Target& target : targets_) {
      if (!target.summed) continue;
      const std::vector<double> sums =
          target.taken
              ? std::move(target.sums)
              : SumLike(target.shape, absl::MakeConstSpan(target.terms));
      for (const double sum : sums) {
        // A single term of -0 gives +0, as summation.h says.
        item_.sums.push_back(target.is_number ? sum + 0.0 : sum);
      }
    }
  }

 private:
  static constexpr DType kType =
      sizeof(T) == sizeof(double) ? DType::kFloat64 : DType::kFloat32;

  // Where an output goes.
  struct Target {
    // Of a tensor, or of an array of terms.
    PartWriter writer;
    std::vector<T> terms;
    bool summed = false;
    // Of a summed output. `taken`: summed while it is computed.
    Broadcast shape;
    bool taken = false;
    bool is_number = false;
    std::vector<double> partial_sums;
    std::vector<double> sums;
  };

  // What one thread computes with.
  struct Worker {
    std::vector<BroadcastSource::Buffer> buffers;
    // One per output.
    std::vector<std::vector<std::byte>> written;
    // One per output that is `taken`.
    std::vector<std::vector<T>> terms;
    std::vector<double> run_sums;
    std::vector<uint64_t> draws;
    // Those of the item and, of runs, what they read.
    std::vector<T> parameters;
    absl::InlinedVector<const void*, 8> in;
    absl::InlinedVector<void*, 8> out;
  };

  // `taken` is the shape of the sums that are taken; nullptr if there are none.
  void SetTargets(const Broadcast* taken) {
    size_t tensor = 0;
    for (const Output& output : lowered_.graph.outputs) {
      Target& target = targets_.emplace_back();
      target.summed = output.summed;
      if (!output.summed) {
        target.writer =
            PartWriter(item_.outputs[tensor],
                       PartAt(item_.output_parts, tensor), item_size_);
        ++tensor;
        continue;
      }
      target.shape = ShapeOf(output, item_);
      target.is_number = output.like < 0;
      target.taken = target.shape == *taken;
      if (target.taken) continue;
      target.terms.resize(item_.num_elements);
      target.writer =
          PartWriter(reinterpret_cast<std::byte*>(target.terms.data()),
                     TensorPart(), sizeof(T));
    }
  }

  Worker MakeWorker() const {
    Worker worker;
    worker.buffers.resize(sources_.size());
    worker.written.resize(targets_.size());
    worker.draws = draws_;
    worker.parameters = parameters_;
    for (const Target& target : targets_) {
      if (target.taken) worker.terms.emplace_back(kTermsAtOnce);
    }
    return worker;
  }

  // Elements [begin, end), which `runs` has next. Terms go to the start of
  // worker.terms, which has room for them.
  void Compute(int64_t begin, int64_t end, ElementRuns& runs,
               Worker& worker) const {
    for (int64_t element = begin; element < end;) {
      int64_t limit = end - element;
      if (of_runs_) worker.parameters.resize(parameters_.size());
      for (const BroadcastSource& source : sources_) {
        int64_t run = 0;
        if (of_runs_) {
          worker.parameters.push_back(source.Value<T>(element, &run));
        } else {
          run = source.RunLength(element);
        }
        limit = std::min(limit, run);
      }
      for (const Target& target : targets_) {
        limit = std::min(limit, target.writer.RunLength(element));
      }
      KernelFunction kernel = kernel_;
      if (non_temporal_ != nullptr) {
        const auto head = ElementsToLine(element);
        if (head == 0) kernel = non_temporal_;
        if (head > 0) limit = std::min(limit, *head);
      }
      const int64_t count = runs.Next(limit);
      worker.in.assign(runs.data(), runs.data() + item_.inputs.size());
      for (size_t s = 0; s < sources_.size() && !of_runs_; ++s) {
        worker.in.push_back(
            sources_[s].Read(element, count, worker.buffers[s]));
      }
      if (!draws_.empty()) {
        worker.draws[0] = draws_[0] + element;
        worker.in.push_back(worker.draws.data());
      }
      worker.out.clear();
      size_t taken = 0;
      for (size_t o = 0; o < targets_.size(); ++o) {
        worker.out.push_back(
            targets_[o].taken
                ? static_cast<void*>(worker.terms[taken++].data() +
                                     (element - begin))
                : targets_[o].writer.Begin(element, count, worker.written[o]));
      }
      kernel(worker.in.data(), worker.out.data(), worker.parameters.data(),
             count);
      for (size_t o = 0; o < targets_.size(); ++o) {
        targets_[o].writer.End(element, count, worker.written[o]);
      }
      element += count;
    }
  }

  // From `element` on; there are no sums.
  std::optional<int64_t> ElementsToLine(int64_t element) const {
    absl::InlinedVector<const std::byte*, 8> at;
    for (const Target& target : targets_) {
      at.push_back(target.writer.address(element));
    }
    return actserve::ElementsToLine(at, 0, item_size_);
  }

  ElementRuns RunsOf(int64_t begin, int64_t end) const {
    return ElementRuns(item_.inputs, item_.input_parts, item_size_, begin, end);
  }

  // Calls `run` for parts of [0, count) of units of `elements` each.
  template <typename Function>
  void Share(int64_t count, int64_t elements, Function run) {
    const int64_t total = count * elements;
    if (total <= options_.min_elements_per_task) return run(int64_t{0}, count);
    const int64_t per_task =
        std::max<int64_t>(1, std::max(options_.min_elements_per_task,
                                      total / (4 * threads_.num_threads())) /
                                 std::max<int64_t>(1, elements));
    threads_.ParallelFor((count + per_task - 1) / per_task, [&](int64_t i) {
      run(i * per_task, std::min(count, (i + 1) * per_task));
    });
  }

  void RunPlain() {
    // In whole cache lines of every output.
    constexpr int64_t kUnit = 4096;
    Share((item_.num_elements + kUnit - 1) / kUnit, kUnit,
          [&](int64_t first, int64_t last) {
            const int64_t begin = first * kUnit;
            const int64_t end = std::min(item_.num_elements, last * kUnit);
            Worker worker = MakeWorker();
            ElementRuns runs = RunsOf(begin, end);
            Compute(begin, end, runs, worker);
            if (non_temporal_ != nullptr) StoreFence();
          });
  }

  void RunAndSum(const Walk& walk) {
    for (Target& target : targets_) {
      if (target.taken) target.partial_sums.resize(walk.num_partial_sums());
    }
    if (item_.num_elements > 0) {
      if (walk.run >= kLongRun) {
        SumLongRuns(walk);
      } else {
        SumRowsOfRuns(walk);
      }
    }
    for (Target& target : targets_) {
      if (target.taken) Finish(walk, target);
    }
  }

  // Tile by tile: each lies in one run.
  void SumLongRuns(const Walk& walk) {
    const int64_t tiles_per_run = walk.tiles_per_run();
    const auto begin_of = [&](int64_t tile) {
      return tile / tiles_per_run * walk.run +
             tile % tiles_per_run * kSumTileElements;
    };
    Share(walk.num_runs() * tiles_per_run, std::min(walk.run, kSumTileElements),
          [&](int64_t first, int64_t last) {
            Worker worker = MakeWorker();
            ElementRuns runs = RunsOf(begin_of(first), begin_of(last));
            for (int64_t tile = first; tile < last; ++tile) {
              const int64_t begin = begin_of(tile);
              const int64_t end = begin_of(tile + 1);
              Compute(begin, end, runs, worker);
              size_t taken = 0;
              for (Target& target : targets_) {
                if (!target.taken) continue;
                SumRuns(worker.terms[taken++].data(), kType, end - begin, 1,
                        &target.partial_sums[tile]);
              }
            }
          });
  }

  // A part of a group of rows.
  struct Part {
    int64_t outer;
    int64_t group;
    int64_t first_column;
    int64_t end_column;
  };

  void SumRowsOfRuns(const Walk& walk) {
    const int64_t num_groups = walk.num_groups();
    const int64_t group_elements =
        std::min(walk.rows, kSumGroup) * walk.width * walk.run;
    // Wide groups are cut into columns where they are too few for the threads.
    constexpr int64_t kLeastColumns = 1024;
    int64_t num_cuts = 1;
    const int64_t wanted = 4 * threads_.num_threads();
    if (walk.outer * num_groups < wanted &&
        item_.num_elements > options_.min_elements_per_task) {
      num_cuts =
          std::max<int64_t>(1, std::min(wanted / (walk.outer * num_groups),
                                        walk.width * walk.run / kLeastColumns));
    }
    const int64_t columns_per_cut = (walk.width + num_cuts - 1) / num_cuts;
    Share(walk.outer * num_groups * num_cuts,
          std::max<int64_t>(1, group_elements / num_cuts),
          [&](int64_t first, int64_t last) {
            Worker worker = MakeWorker();
            for (int64_t i = first; i < last; ++i) {
              const int64_t cut = i % num_cuts;
              const Part part = {
                  i / num_cuts / num_groups, i / num_cuts % num_groups,
                  std::min(walk.width, cut * columns_per_cut),
                  std::min(walk.width, (cut + 1) * columns_per_cut)};
              if (part.first_column < part.end_column) {
                SumPart(walk, part, worker);
              }
            }
          });
  }

  void SumPart(const Walk& walk, const Part& part, Worker& worker) {
    const int64_t first_row = part.group * kSumGroup;
    const int64_t end_row = std::min(walk.rows, first_row + kSumGroup);
    const auto begin_of = [&](int64_t row, int64_t column) {
      return ((part.outer * walk.rows + row) * walk.width + column) * walk.run;
    };
    const bool whole_rows =
        part.first_column == 0 && part.end_column == walk.width;
    const int64_t row_runs = part.end_column - part.first_column;
    // Runs of one call: of several rows, or of a part of one.
    const int64_t most_runs = kTermsAtOnce / walk.run;
    if (whole_rows) {
      ElementRuns runs = RunsOf(begin_of(first_row, 0), begin_of(end_row, 0));
      const int64_t rows_at_once = std::max<int64_t>(1, most_runs / row_runs);
      for (int64_t row = first_row; row < end_row; row += rows_at_once) {
        const int64_t num_rows = std::min(rows_at_once, end_row - row);
        SumColumns(walk, part, row, num_rows, runs, worker);
      }
    } else {
      for (int64_t row = first_row; row < end_row; ++row) {
        ElementRuns runs = RunsOf(begin_of(row, part.first_column),
                                  begin_of(row, part.end_column));
        SumColumns(walk, part, row, 1, runs, worker);
      }
    }
  }

  // Several rows that fit into worker.terms, or one that may not.
  void SumColumns(const Walk& walk, const Part& part, int64_t row,
                  int64_t num_rows, ElementRuns& runs, Worker& worker) {
    const int64_t most_runs = kTermsAtOnce / walk.run;
    const int64_t row_runs = part.end_column - part.first_column;
    const int64_t base =
        (part.outer * walk.rows + row) * walk.width + part.first_column;
    const int64_t at_once =
        num_rows > 1 ? num_rows * row_runs : std::min(most_runs, row_runs);
    for (int64_t done = 0; done < num_rows * row_runs; done += at_once) {
      const int64_t count = std::min(at_once, num_rows * row_runs - done);
      Compute((base + done) * walk.run, (base + done + count) * walk.run, runs,
              worker);
      size_t taken = 0;
      for (Target& target : targets_) {
        if (!target.taken) continue;
        const T* terms = worker.terms[taken++].data();
        double* sums =
            target.partial_sums.data() +
            (part.outer * walk.num_groups() + part.group) * walk.width +
            part.first_column;
        for (int64_t r = 0; r < num_rows; ++r) {
          const int64_t columns = num_rows > 1 ? row_runs : count;
          AddRow(walk, terms + r * row_runs * walk.run, columns,
                 worker.run_sums, num_rows > 1 ? sums : sums + done);
        }
      }
    }
  }

  // The groups' sums are 0 at first.
  static void AddRow(const Walk& walk, const T* terms, int64_t columns,
                     std::vector<double>& run_sums, double* sums) {
    if (walk.run == 1) {
      if (!walk.sums_rows) {
        std::copy_n(terms, columns, sums);
        return;
      }
      for (int64_t c = 0; c < columns; ++c) {
        sums[c] += static_cast<double>(terms[c]);
      }
      return;
    }
    if (!walk.sums_rows) return SumRuns(terms, kType, walk.run, columns, sums);
    run_sums.resize(columns);
    SumRuns(terms, kType, walk.run, columns, run_sums.data());
    for (int64_t c = 0; c < columns; ++c) sums[c] += run_sums[c];
  }

  static void Finish(const Walk& walk, Target& target) {
    std::vector<double> sums;
    if (walk.run >= kLongRun) {
      const int64_t tiles = walk.tiles_per_run();
      for (int64_t run = 0; run < walk.num_runs(); ++run) {
        sums.push_back(SumTiles(
            absl::MakeSpan(target.partial_sums).subspan(run * tiles, tiles)));
      }
    } else {
      const int64_t group_sums = walk.num_groups() * walk.width;
      for (int64_t outer = 0; outer < walk.outer; ++outer) {
        double* groups = target.partial_sums.data() + outer * group_sums;
        CombineGroups(groups, walk.num_groups(), walk.width);
        if (walk.num_groups() > 0) {
          sums.insert(sums.end(), groups, groups + walk.width);
        } else {
          sums.resize(sums.size() + walk.width, 0);
        }
      }
    }
    target.sums = SumOuterDimensions(walk.left, std::move(sums));
  }

  const LoweredProgram& lowered_;
  const BroadcastRunOptions& options_;
  ThreadPool& threads_;
  WorkItem& item_;
  const int64_t item_size_;
  KernelFunction kernel_;
  // Long runs read one element of each tensor that broadcasts.
  bool of_runs_ = false;
  KernelFunction non_temporal_ = nullptr;
  const std::vector<T> parameters_;
  // DrawWords() of the item's first element.
  const std::vector<uint64_t> draws_;
  std::vector<BroadcastSource> sources_;
  std::vector<Target> targets_;
};

}  // namespace

void RunWithBroadcasts(const CpuProgram& program,
                       const BroadcastRunOptions& options, ThreadPool& threads,
                       WorkItem& item) {
  if (program.lowered().compute == DType::kFloat64) {
    Runner<double>(program, options, threads, item).Run();
  } else {
    Runner<float>(program, options, threads, item).Run();
  }
}

int64_t BroadcastScratchBytes(const LoweredProgram& program,
                              const WorkItem& item) {
  int64_t bytes = 0;
  for (const BroadcastInput& input : item.broadcasts) {
    bytes += BroadcastSource::SizeBytes(input, ItemSizeBytes(program.storage));
  }
  const Output* first = FirstSummed(program);
  if (first == nullptr) return bytes;
  const Broadcast taken = ShapeOf(*first, item);
  for (const Output& output : program.graph.outputs) {
    if (!output.summed) continue;
    const Broadcast shape = ShapeOf(output, item);
    // The sums, once here and once in the item, and what leads to them.
    const int64_t num_sums =
        2 * shape.num_elements() + Walk(shape).num_partial_sums();
    bytes += num_sums * static_cast<int64_t>(sizeof(double));
    if (shape != taken) {
      bytes += item.num_elements * ItemSizeBytes(program.compute);
    }
  }
  return bytes;
}

}  // namespace actserve
