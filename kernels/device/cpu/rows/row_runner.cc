#include "kernels/device/cpu/rows/row_runner.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/base/status_macros.h"
#include "kernels/device/cpu/machine/past_caches.h"
#include "kernels/device/cpu/read/row_inputs.h"
#include "kernels/device/cpu/reduce/reductions.h"
#include "kernels/device/cpu/reduce/transpose.h"
#include "kernels/device/cpu/rows/row_draws.h"
#include "kernels/device/cpu/rows/row_outputs.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/row_moves.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

using Sink = RowStage::Sink;

// Elements that go through the stages together, so that they stay in cache.
constexpr int64_t kBlockElements = kSumTileElements;

// Rows that go alone, tile by tile.
bool IsLong(int64_t size) { return size > kBlockElements; }

// Rows that go through the stages together.
int64_t RowsAtOnce(int64_t size) {
  return IsLong(size) ? 1 : kBlockElements / size;
}

// If kernels take rows one after the other. Otherwise what is left of each row
// behind whole vectors costs more than to spread its numbers over elements.
bool GoesByRow(int64_t size) {
  constexpr int64_t kLongEnough = 256;
  // What kernels compute in one step.
  constexpr int64_t kVectors = 64;
  return size >= kLongEnough || size % kVectors == 0;
}

// Rows that are copied together from where they lie apart: as many as make the
// copy read whole cache lines.
int64_t StridedRowsAtOnce(const Rows& rows, int64_t item_size) {
  constexpr int64_t kLineBytes = 64;
  return std::min(rows.stride,
                  std::max(kLineBytes / item_size, RowsAtOnce(rows.size)));
}

// For arrays that are written before they are read.
template <typename T>
std::unique_ptr<T[]> Uninitialized(int64_t size) {
  return std::make_unique_for_overwrite<T[]>(size);
}

// Computes one item; T is the compute type.
template <typename T>
class Runner {
 public:
  Runner(const LoweredProgram& lowered, const RowStages& stages,
         absl::Span<const RowStep> steps, WorkItem& item)
      : lowered_(lowered),
        stages_(stages),
        steps_(steps),
        item_(item),
        item_size_(ItemSizeBytes(lowered_.storage)),
        size_(item.rows.size),
        stride_(item.rows.stride),
        num_rows_(item.num_elements / item.rows.size),
        by_row_(GoesByRow(item.rows.size)),
        parameters_(item.parameters.begin(), item.parameters.end()),
        inputs_(item, lowered.storage, RowsAtOnce(item.rows.size)),
        outputs_(lowered, item) {}

  absl::Status Prepare(LazyKernel* draws,
                       int64_t non_temporal_threshold_bytes) {
    if (draws != nullptr) {
      ACTSERVE_ASSIGN_OR_RETURN(const auto draw, draws->Get(StopToken()));
      draws_.emplace(stages_.draws, draw, item_, parameters_.data(), sizeof(T));
    }
    const bool non_temporal =
        non_temporal_threshold_bytes > 0 && stride_ == 1 &&
        item_.num_elements * item_size_ >= non_temporal_threshold_bytes;
    for (const RowStep& step : steps_) {
      const RowStep::Elements& elements =
          by_row_ ? step.elements_by_row : step.elements_of_short;
      Kernels& kernels = kernels_.emplace_back();
      for (const auto& [kernel, function] :
           {std::pair{step.rows.get(), &kernels.rows},
            std::pair{elements.plain.get(), &kernels.elements},
            std::pair{non_temporal ? elements.non_temporal.get() : nullptr,
                      &kernels.non_temporal}}) {
        if (kernel == nullptr) continue;
        ACTSERVE_ASSIGN_OR_RETURN(*function, kernel->Get(StopToken()));
      }
    }
    return absl::OkStatus();
  }

  void Run(ThreadPool& threads, int64_t min_elements_per_task) {
    int64_t per_task = std::max<int64_t>(
        1, std::max(min_elements_per_task,
                    item_.num_elements / (4 * threads.num_threads())) /
               size_);
    // No two tasks add to a group of rows, unless too few would be left.
    const bool by_groups = outputs_.HasColumnSums() &&
                           (per_task >= num_rows_ ||
                            num_rows_ >= kSumGroup * threads.num_threads());
    if (by_groups) {
      per_task = (per_task + kSumGroup - 1) / kSumGroup * kSumGroup;
    }
    outputs_.Place(by_groups);
    const int64_t num_tasks = (num_rows_ + per_task - 1) / per_task;
    if (num_tasks > 1) {
      threads.ParallelFor(num_tasks, [&](int64_t i) {
        RunRange(i * per_task, std::min(num_rows_, (i + 1) * per_task),
                 nullptr);
      });
    } else {
      RunRange(0, num_rows_,
               item_.num_elements > min_elements_per_task ? &threads : nullptr);
    }
    outputs_.WriteParts();
    outputs_.TakeSums();
  }

 private:
  // Of one step; nullptr if there is nothing to compute, or none is wanted.
  struct Kernels {
    KernelFunction rows = nullptr;
    KernelFunction elements = nullptr;
    KernelFunction non_temporal = nullptr;
  };

  // Where some rows that lie one after the other are, and go.
  struct Place {
    std::vector<const std::byte*> tensors;
    std::vector<std::byte*> outputs;
    // The first element of the first row, in the item.
    int64_t element = 0;

    void Advance(const Runner& runner, int64_t rows) {
      const int64_t elements = rows * runner.size_;
      element += runner.stride_ == 1 ? elements : rows;
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (runner.inputs_.IsOfEveryRow(i)) continue;
        tensors[i] += elements * runner.item_size_;
      }
      for (size_t o = 0; o < outputs.size(); ++o) {
        if (runner.outputs_.ComesByRows(o)) continue;
        outputs[o] += elements * runner.outputs_.item_sizes()[o];
      }
    }
  };

  // What the stages of some rows leave to each other.
  struct Workspace {
    // For up to so many rows; one, if they are long.
    Workspace(const Runner& runner, int64_t num_rows)
        : rows(num_rows), numbers(runner.stages_.num_row_numbers * num_rows) {
      const int64_t num_elements = num_rows * runner.size_;
      for (int i = 0; i < runner.stages_.num_kept; ++i) {
        kept.push_back(Uninitialized<T>(num_elements));
      }
      for (const int array : runner.stages_.draw_arrays) {
        draws.push_back(kept[array].get());
      }
      std::fill_n(numbers.begin(), num_rows, static_cast<T>(runner.size_));
      const int index_array = runner.stages_.index_array;
      if (index_array >= 0) {
        for (int64_t i = 0; i < num_elements; ++i) {
          kept[index_array][i] = static_cast<T>(i % runner.size_);
        }
      }
      for (const RowStep& step : runner.steps_) {
        for (const auto& reduction : step.reductions) {
          if (reduction.from != RowStep::Reduction::From::kScratch) continue;
          const size_t needed = reduction.index + 1;
          if (scratch.size() < needed) scratch.resize(needed);
          scratch[reduction.index].resize(
              std::min(num_elements, kSumTileElements));
        }
      }
    }
    const int64_t rows;
    std::vector<std::unique_ptr<T[]>> kept;
    std::vector<void*> draws;  // those of random numbers
    // Number i of row r is numbers[i * rows + r].
    std::vector<T> numbers;
    // By index in `written`, the terms of what is reduced.
    std::vector<std::vector<T>> scratch;
    // Numbers, one for each element, unless kernels go by rows.
    std::vector<std::vector<T>> spread;
    std::vector<std::vector<double>> tile_sums;
    std::vector<std::vector<T>> tile_maxima;
    std::vector<const void*> in;
    std::vector<void*> out;
  };

  // `threads` to share the elements of a row, or nullptr.
  void RunRange(int64_t begin, int64_t end, ThreadPool* threads) {
    Workspace work(*this, std::min(end - begin, RowsAtOnce(size_)));
    if (stride_ > 1) return RunStrided(begin, end, work, threads);
    Place place = {inputs_.data(), outputs_.data()};
    place.Advance(*this, begin);
    std::vector<std::unique_ptr<T[]>> terms;
    for (size_t o = 0; o < place.outputs.size(); ++o) {
      if (!outputs_.ComesByRows(o)) continue;
      terms.push_back(Uninitialized<T>(work.rows * size_));
      place.outputs[o] = reinterpret_cast<std::byte*>(terms.back().get());
    }
    RunContiguous(place, end - begin, work, threads);
    StoreFence();
  }

  // Copies a block of rows together, computes, and copies the results back.
  void RunStrided(int64_t begin, int64_t end, Workspace& work,
                  ThreadPool* threads) {
    const int64_t rows_at_once =
        std::min(end - begin, StridedRowsAtOnce(item_.rows, item_size_));
    std::vector<std::unique_ptr<std::byte[]>> from(inputs_.data().size());
    const std::vector<int64_t>& sizes = outputs_.item_sizes();
    std::vector<std::unique_ptr<std::byte[]>> to(outputs_.data().size());
    Place place;
    for (std::unique_ptr<std::byte[]>& buffer : from) {
      buffer = Uninitialized<std::byte>(rows_at_once * size_ * item_size_);
      place.tensors.push_back(buffer.get());
    }
    for (size_t o = 0; o < to.size(); ++o) {
      to[o] = Uninitialized<std::byte>(rows_at_once * size_ * sizes[o]);
      place.outputs.push_back(to[o].get());
    }
    for (int64_t row = begin; row < end;) {
      // Neighbours: rows that begin at consecutive elements.
      const int64_t column = row % stride_;
      const int64_t count =
          std::min({rows_at_once, end - row, stride_ - column});
      const int64_t first = row / stride_ * size_ * stride_ + column;
      for (size_t i = 0; i < from.size(); ++i) {
        Transpose(inputs_.data()[i] + first * item_size_, stride_, size_, count,
                  item_size_, from[i].get(), size_);
      }
      place.element = first;
      RunContiguous(place, count, work, threads);
      for (size_t o = 0; o < to.size(); ++o) {
        Transpose(to[o].get(), size_, count, size_, sizes[o],
                  outputs_.data()[o] + first * sizes[o], stride_);
      }
      row += count;
    }
  }

  void RunContiguous(Place place, int64_t num_rows, Workspace& work,
                     ThreadPool* threads) {
    for (int64_t row = 0; row < num_rows; row += work.rows) {
      const int64_t count = std::min(work.rows, num_rows - row);
      if (IsLong(size_)) {
        RunLongRow(place, work, threads);
      } else {
        RunBlock(place, count, work);
      }
      outputs_.AddRows(place.outputs, place.element / size_, count);
      place.Advance(*this, count);
    }
  }

  // Of the elements from `begin` on.
  void SetInputs(const RowStep& step, const Place& place, Workspace& work,
                 int64_t begin, std::vector<const void*>& in) const {
    in.clear();
    for (const int tensor : step.stage->tensors) {
      in.push_back(place.tensors[tensor] + begin * item_size_);
    }
    for (const int array : step.stage->kept) {
      in.push_back(work.kept[array].get() + begin);
    }
  }
  void SetOutputs(const RowStep& step, const Place& place, Workspace& work,
                  int64_t begin, std::vector<std::vector<T>>& scratch,
                  std::vector<void*>& out) const {
    out.clear();
    for (const int o : step.written) {
      const Sink& sink = step.stage->sinks[o];
      switch (sink.kind) {
        case Sink::Kind::kOutput:
          out.push_back(place.outputs[sink.index] +
                        begin * outputs_.item_sizes()[sink.index]);
          break;
        case Sink::Kind::kKeep:
          out.push_back(work.kept[sink.index].get() + begin);
          break;
        case Sink::Kind::kReduce:
          out.push_back(scratch[out.size()].data());
      }
    }
  }

  // Calls the kernel of step `s` for `num_rows` rows, or parts of one, of
  // `size` elements each; past the caches from where the outputs are aligned to
  // their lines, if they are so together.
  void RunElements(size_t s, std::vector<const void*>& in,
                   std::vector<void*>& out, int64_t num_rows,
                   int64_t size) const {
    const KernelFunction plain = kernels_[s].elements;
    const KernelFunction non_temporal = kernels_[s].non_temporal;
    const size_t num_row_inputs =
        by_row_ ? steps_[s].stage->row_inputs.size() : 0;
    const size_t num_inputs = in.size();
    if (num_row_inputs == 0) {
      size *= num_rows;
      num_rows = 1;
    }
    in.push_back(nullptr);
    const auto call = [&](KernelFunction kernel, int64_t rows, int64_t count) {
      in.back() = &count;
      kernel(in.data(), out.data(), parameters_.data(), rows * count);
    };
    const auto advance = [&](int64_t elements) {
      for (size_t i = 0; i < num_inputs - num_row_inputs; ++i) {
        const bool is_tensor = i < steps_[s].stage->tensors.size();
        in[i] = static_cast<const std::byte*>(in[i]) +
                elements * (is_tensor ? item_size_ : sizeof(T));
      }
      for (void*& to : out) {
        to = static_cast<std::byte*>(to) + elements * item_size_;
      }
    };
    if (non_temporal == nullptr) return call(plain, num_rows, size);
    if (size * item_size_ % kCacheLineBytes == 0 &&
        ElementsToLine(out, 0, item_size_) == 0) {
      return call(non_temporal, num_rows, size);
    }
    for (int64_t row = 0; row < num_rows; ++row) {
      const int64_t head =
          std::min(size, ElementsToLine(out, 0, item_size_).value_or(size));
      if (head > 0) call(plain, 1, head);
      advance(head);
      if (head < size) call(non_temporal, 1, size - head);
      advance(size - head);
      for (size_t i = num_inputs - num_row_inputs; i < num_inputs; ++i) {
        in[i] = static_cast<const T*>(in[i]) + 1;
      }
    }
  }

  struct Terms {
    const void* data;
    DType dtype;
  };
  // The terms of `reduction` from element `begin` on.
  Terms TermsOf(const RowStep::Reduction& reduction, const Place& place,
                const Workspace& work,
                const std::vector<std::vector<T>>& scratch,
                int64_t begin) const {
    switch (reduction.from) {
      case RowStep::Reduction::From::kScratch:
        return {scratch[reduction.index].data(), lowered_.compute};
      case RowStep::Reduction::From::kKept:
        return {work.kept[reduction.index].get() + begin, lowered_.compute};
      case RowStep::Reduction::From::kTensor:
        break;
    }
    return {place.tensors[reduction.index] + begin * item_size_,
            lowered_.storage};
  }

  // --- Long rows, one at a time.

  void RunLongRow(const Place& place, Workspace& work, ThreadPool* threads) {
    const int64_t num_tiles = (size_ + kSumTileElements - 1) / kSumTileElements;
    if (draws_) draws_->Fill(place.element, 1, work.draws, threads);
    for (size_t s = 0; s < steps_.size(); ++s) {
      const RowStep& step = steps_[s];
      ComputeNumbers(s, work, 1);
      const size_t num_reductions = step.reductions.size();
      if (work.tile_sums.size() < num_reductions) {
        work.tile_sums.resize(num_reductions);
        work.tile_maxima.resize(num_reductions);
      }
      for (size_t r = 0; r < num_reductions; ++r) {
        work.tile_sums[r].resize(num_tiles);
        work.tile_maxima[r].resize(num_tiles);
      }
      if (threads != nullptr && num_tiles >= 2 * kTilesPerTask) {
        threads->ParallelFor(
            (num_tiles + kTilesPerTask - 1) / kTilesPerTask, [&](int64_t i) {
              std::vector<std::vector<T>> scratch = work.scratch;
              std::vector<const void*> in;
              std::vector<void*> out;
              RunTiles(s, place, work, scratch, in, out, i * kTilesPerTask,
                       std::min(num_tiles, (i + 1) * kTilesPerTask));
            });
      } else {
        RunTiles(s, place, work, work.scratch, work.in, work.out, 0, num_tiles);
      }
      for (size_t r = 0; r < num_reductions; ++r) {
        const auto& reduction = step.reductions[r];
        T& number = work.numbers[reduction.number];
        if (reduction.op == Op::kRowSum) {
          number = static_cast<T>(SumTiles(absl::MakeSpan(work.tile_sums[r])));
        } else {
          MaxOfRuns(work.tile_maxima[r].data(), lowered_.compute, num_tiles, 1,
                    &number);
          number += T{0};
        }
      }
      ApplyMoves(*step.stage, work, 1);
    }
  }

  // Of a row that threads share.
  static constexpr int64_t kTilesPerTask = 16;

  // Different tiles of a row may run at the same time, each with scratch, `in`
  // and `out` of its own.
  void RunTiles(size_t s, const Place& place, Workspace& work,
                std::vector<std::vector<T>>& scratch,
                std::vector<const void*>& in, std::vector<void*>& out,
                int64_t first_tile, int64_t end_tile) const {
    const RowStep& step = steps_[s];
    // Without reductions in one go.
    const int64_t step_tiles =
        step.reductions.empty() ? end_tile - first_tile : 1;
    for (int64_t tile = first_tile; tile < end_tile; tile += step_tiles) {
      const int64_t begin = tile * kSumTileElements;
      const int64_t count =
          std::min(size_, (tile + step_tiles) * kSumTileElements) - begin;
      if (kernels_[s].elements != nullptr) {
        SetInputs(step, place, work, begin, in);
        AddNumbers(*step.stage, work, in);
        SetOutputs(step, place, work, begin, scratch, out);
        RunElements(s, in, out, 1, count);
      }
      for (size_t r = 0; r < step.reductions.size(); ++r) {
        const auto& reduction = step.reductions[r];
        const Terms terms = TermsOf(reduction, place, work, scratch, begin);
        if (reduction.op == Op::kRowSum) {
          SumRuns(terms.data, terms.dtype, count, 1, &work.tile_sums[r][tile]);
        } else {
          MaxOfRuns(terms.data, terms.dtype, count, 1,
                    &work.tile_maxima[r][tile]);
        }
      }
    }
  }

  // --- Other rows, a block at a time.

  void RunBlock(const Place& place, int64_t num_rows, Workspace& work) {
    work.tile_sums.resize(1);
    work.tile_sums[0].resize(num_rows);
    if (draws_) draws_->Fill(place.element, num_rows, work.draws, nullptr);
    for (size_t s = 0; s < steps_.size(); ++s) {
      const RowStep& step = steps_[s];
      ComputeNumbers(s, work, num_rows);
      if (kernels_[s].elements != nullptr) {
        SetInputs(step, place, work, 0, work.in);
        if (by_row_) {
          AddNumbers(*step.stage, work, work.in);
        } else {
          SpreadNumbers(*step.stage, num_rows, work);
        }
        SetOutputs(step, place, work, 0, work.scratch, work.out);
        RunElements(s, work.in, work.out, num_rows, size_);
      }
      for (const auto& reduction : step.reductions) {
        const Terms terms = TermsOf(reduction, place, work, work.scratch, 0);
        T* numbers = work.numbers.data() + reduction.number * work.rows;
        if (reduction.op == Op::kRowSum) {
          SumRuns(terms.data, terms.dtype, size_, num_rows,
                  work.tile_sums[0].data());
          std::copy_n(work.tile_sums[0].begin(), num_rows, numbers);
        } else {
          MaxOfRuns(terms.data, terms.dtype, size_, num_rows, numbers);
          for (int64_t r = 0; r < num_rows; ++r) numbers[r] += T{0};
        }
      }
      ApplyMoves(*step.stage, work, num_rows);
    }
  }

  void ApplyMoves(const RowStage& stage, Workspace& work,
                  int64_t num_rows) const {
    for (const RowStage::Move& move : stage.moves) {
      const auto row_of = [&](int array, int64_t row) {
        return absl::Span<T>(work.kept[array].get() + row * size_, size_);
      };
      for (int64_t r = 0; r < num_rows; ++r) {
        ApplyByElement<T, double>(
            move.op, row_of(move.a, r),
            move.b < 0 ? absl::Span<const T>() : row_of(move.b, r),
            row_of(move.to, r));
      }
    }
  }

  // Adds the numbers that the elements read to their inputs.
  void AddNumbers(const RowStage& stage, const Workspace& work,
                  std::vector<const void*>& in) const {
    for (const int number : stage.row_inputs) {
      in.push_back(work.numbers.data() + number * work.rows);
    }
  }

  // The same, one for each element.
  void SpreadNumbers(const RowStage& stage, int64_t num_rows,
                     Workspace& work) const {
    const size_t num_inputs = stage.row_inputs.size();
    if (work.spread.size() < num_inputs) work.spread.resize(num_inputs);
    for (size_t i = 0; i < num_inputs; ++i) {
      std::vector<T>& spread = work.spread[i];
      spread.resize(work.rows * size_ + kSpreadPadding);
      SpreadOverRuns(work.numbers.data() + stage.row_inputs[i] * work.rows,
                     size_, num_rows, spread.data());
      work.in.push_back(spread.data());
    }
  }

  // The numbers of `count` rows that other numbers give.
  void ComputeNumbers(size_t s, Workspace& work, int64_t count) const {
    if (kernels_[s].rows == nullptr) return;
    const RowStep& step = steps_[s];
    work.in.clear();
    for (const int number : step.stage->rows_inputs) {
      work.in.push_back(work.numbers.data() + number * work.rows);
    }
    work.out.clear();
    for (const int number : step.stage->rows_outputs) {
      work.out.push_back(work.numbers.data() + number * work.rows);
    }
    kernels_[s].rows(work.in.data(), work.out.data(), parameters_.data(),
                     count);
  }

  const LoweredProgram& lowered_;
  const RowStages& stages_;
  const absl::Span<const RowStep> steps_;
  std::vector<Kernels> kernels_;  // by step
  std::optional<RowDraws> draws_;
  WorkItem& item_;
  const int64_t item_size_;
  const int64_t size_;
  const int64_t stride_;
  const int64_t num_rows_;
  const bool by_row_;
  const std::vector<T> parameters_;
  const RowInputs inputs_;
  RowOutputs<T> outputs_;
};

}  // namespace

absl::Status RunRows(const LoweredProgram& program, const RowStages& stages,
                     LazyKernel* draws, absl::Span<const RowStep> steps,
                     ThreadPool& threads, const RowOptions& options,
                     WorkItem& item) {
  const auto run = [&](auto runner) {
    ACTSERVE_RETURN_IF_ERROR(
        runner.Prepare(draws, options.non_temporal_threshold_bytes));
    runner.Run(threads, options.min_elements_per_task);
    return absl::OkStatus();
  };
  if (program.compute == DType::kFloat64) {
    return run(Runner<double>(program, stages, steps, item));
  }
  return run(Runner<float>(program, stages, steps, item));
}

int64_t RowScratchBytes(const LoweredProgram& program, const RowStages& stages,
                        int num_threads, const WorkItem& item) {
  if (item.num_elements == 0) return 0;
  const Rows& rows = item.rows;
  const int64_t item_size = ItemSizeBytes(program.storage);
  const int64_t compute_size = ItemSizeBytes(program.compute);
  // Of what each thread has a piece, no more than there are in all.
  const auto elements_of_threads = [&](int64_t rows_at_once) {
    return std::min(item.num_elements, num_threads * rows_at_once * rows.size);
  };
  const size_t num_inputs = item.inputs.size() + item.broadcasts.size();
  int64_t tensor_sizes = static_cast<int64_t>(num_inputs) * item_size;
  int64_t bytes = 0;
  for (const Output& output : program.graph.outputs) {
    tensor_sizes += output.summed ? compute_size : item_size;
    if (output.summed) bytes += item.num_elements * compute_size;
    if (output.like >= 0) {
      // The sums, and while they are taken one number for each term.
      bytes += item.num_elements * static_cast<int64_t>(sizeof(double));
    }
  }
  bytes += RowInputs::SizeBytes(item, program.storage, RowsAtOnce(rows.size));
  bytes += std::ranges::count_if(
               item.output_parts,
               [](const TensorPart& part) { return !part.is_whole(); }) *
           item.num_elements * item_size;
  // Random numbers are drawn in another order where rows lie apart.
  const int64_t num_arrays =
      stages.num_kept + (rows.stride > 1 ? std::ssize(stages.draw_arrays) : 0);
  bytes +=
      num_arrays * compute_size * elements_of_threads(RowsAtOnce(rows.size));
  if (rows.stride > 1) {
    bytes +=
        tensor_sizes * elements_of_threads(StridedRowsAtOnce(rows, item_size));
  }
  return bytes;
}

}  // namespace actserve
