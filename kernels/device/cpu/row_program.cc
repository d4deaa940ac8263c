#include "kernels/device/cpu/row_program.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/graph/copy.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

using Sink = RowStage::Sink;

// Elements that go through the stages together, so that they stay in cache.
constexpr int64_t kBlockElements = kSumTileElements;
// Rows of fewer elements go in blocks. For longer ones calling a kernel costs
// less than spreading the numbers of a row.
constexpr int64_t kLongRow = 256;

// The larger of two, NaN if one is NaN. In any order of many numbers the result
// is the same but for the sign of a zero.
template <typename T>
T LargerOrNaN(T a, T b) {
  return a < b || b != b ? b : a;
}

// -inf of no number.
template <typename T>
T MaxOrNaN(const T* numbers, size_t count) {
  // As many as fill some registers.
  constexpr size_t kLanes = 64;
  T lanes[kLanes];
  for (T& lane : lanes) lane = -std::numeric_limits<T>::infinity();
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      lanes[j] = LargerOrNaN(lanes[j], numbers[i + j]);
    }
  }
  T max = -std::numeric_limits<T>::infinity();
  if (i > 0) {
    for (const T lane : lanes) max = LargerOrNaN(max, lane);
  }
  for (; i < count; ++i) max = LargerOrNaN(max, numbers[i]);
  return max;
}

// The elements of a stage as a program of its own. With `as_parameters` the
// numbers of the row are further parameters, otherwise further inputs.
LoweredProgram ElementsProgram(const LoweredProgram& whole,
                               const RowStage& stage, bool as_parameters) {
  const Graph& from = stage.elements;
  const size_t num_arrays = stage.tensors.size() + stage.kept.size();
  Graph graph = WithSignatureOf(from);
  if (as_parameters) {
    graph.inputs.resize(num_arrays);
    graph.parameters.resize(from.parameters.size() + stage.row_inputs.size());
  }
  const auto leaf = [&](const Node& node) {
    if (node.op == Op::kParameter) return graph.ParameterNode(node.index);
    const size_t index = node.index;
    if (!as_parameters || index < num_arrays) return graph.Input(node.index);
    return graph.ParameterNode(
        static_cast<int32_t>(from.parameters.size() + index - num_arrays));
  };
  const auto add = [&](Op op, NodeId a, NodeId b, NodeId c) {
    return graph.Add(op, a, b, c);
  };
  CopyOutputs(from, CopyNodes(from, graph, leaf, add), graph);
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    const Sink& sink = stage.sinks[o];
    graph.outputs[o].summed = sink.kind != Sink::Kind::kOutput ||
                              whole.graph.outputs[sink.index].summed;
  }
  LoweredProgram program;
  program.num_compute_inputs =
      static_cast<int>(graph.inputs.size() - stage.tensors.size());
  program.graph = std::move(graph);
  return program;
}

LoweredProgram RowsProgram(const RowStage& stage) {
  LoweredProgram program;
  program.graph = stage.rows;
  program.num_compute_inputs = static_cast<int>(stage.rows_inputs.size());
  for (Output& output : program.graph.outputs) output.summed = true;
  return program;
}

}  // namespace

RowProgram::RowProgram(LoweredProgram lowered, RowStages stages)
    : Program(std::move(lowered)), stages_(std::move(stages)) {}

absl::StatusOr<std::shared_ptr<RowProgram>> RowProgram::Create(
    const LoweredProgram& lowered, KernelBuilder& builder,
    const StopToken& stop) {
  std::shared_ptr<RowProgram> program(
      new RowProgram(lowered, CutIntoStages(lowered.graph)));
  const auto build = [&](LoweredProgram part)
      -> absl::StatusOr<std::unique_ptr<LoadedKernel>> {
    if (part.graph.outputs.empty()) return nullptr;
    part.storage = lowered.storage;
    part.compute = lowered.compute;
    part.interleave = lowered.interleave;
    ACTSERVE_ASSIGN_OR_RETURN(KernelBuilder::Built built,
                              builder.Build(part, KernelVariant::kPlain, stop));
    program->object_size_bytes_ += built.object_size_bytes;
    return std::move(built.kernel);
  };
  for (const RowStage& stage : program->stages_.stages) {
    Kernels& kernels = program->kernels_.emplace_back();
    ACTSERVE_ASSIGN_OR_RETURN(kernels.rows, build(RowsProgram(stage)));
    ACTSERVE_ASSIGN_OR_RETURN(
        kernels.elements_of_long,
        build(ElementsProgram(lowered, stage, /*as_parameters=*/true)));
    ACTSERVE_ASSIGN_OR_RETURN(
        kernels.elements_of_short,
        build(ElementsProgram(lowered, stage, /*as_parameters=*/false)));
  }
  return program;
}

// Computes one item; T is the compute type.
template <typename T>
class RowProgram::Runner {
 public:
  Runner(const RowProgram& program, WorkItem& item)
      : program_(program),
        lowered_(program.lowered()),
        item_(item),
        item_size_(ItemSizeBytes(lowered_.storage)),
        size_(item.rows.size),
        stride_(item.rows.stride),
        num_rows_(item.num_elements / item.rows.size),
        parameters_(item.parameters.begin(), item.parameters.end()) {
    for (const absl::Span<const Fragment> input : item.inputs) {
      tensors_.push_back(Contiguous(input));
    }
    size_t tensor = 0;
    for (const Output& output : lowered_.graph.outputs) {
      if (output.summed) {
        terms_.emplace_back(item.num_elements);
        outputs_.push_back(reinterpret_cast<std::byte*>(terms_.back().data()));
        output_sizes_.push_back(sizeof(T));
      } else {
        outputs_.push_back(item.outputs[tensor++]);
        output_sizes_.push_back(item_size_);
      }
    }
  }

  void Run(ThreadPool& threads, int64_t min_elements_per_task) {
    const int64_t per_task = std::max<int64_t>(
        1, std::max(min_elements_per_task,
                    item_.num_elements / (4 * threads.num_threads())) /
               size_);
    const int64_t num_tasks = (num_rows_ + per_task - 1) / per_task;
    if (num_tasks > 1) {
      threads.ParallelFor(num_tasks, [&](int64_t i) {
        RunRows(i * per_task, std::min(num_rows_, (i + 1) * per_task), nullptr);
      });
    } else {
      RunRows(0, num_rows_,
              item_.num_elements > min_elements_per_task ? &threads : nullptr);
    }
    item_.sums.clear();
    for (const std::vector<T>& terms : terms_) item_.sums.push_back(Sum(terms));
  }

 private:
  // Where some rows that lie one after the other are, and go.
  struct Place {
    std::vector<const std::byte*> tensors;
    std::vector<std::byte*> outputs;

    void Advance(const Runner& runner, int64_t elements) {
      for (const std::byte*& tensor : tensors) {
        tensor += elements * runner.item_size_;
      }
      for (size_t o = 0; o < outputs.size(); ++o) {
        outputs[o] += elements * runner.output_sizes_[o];
      }
    }
  };

  const std::byte* Contiguous(absl::Span<const Fragment> fragments) {
    if (fragments.size() == 1) return fragments[0].data;
    copies_.emplace_back(item_.num_elements * item_size_);
    std::byte* to = copies_.back().data();
    for (const Fragment& fragment : fragments) {
      if (fragment.size_bytes == 0) continue;
      std::memcpy(to, fragment.data, fragment.size_bytes);
      to += fragment.size_bytes;
    }
    return copies_.back().data();
  }

  static double Sum(absl::Span<const T> terms) {
    std::vector<double> tiles;
    for (size_t at = 0; at < terms.size(); at += kSumTileElements) {
      tiles.push_back(SumTile(terms.subspan(at, kSumTileElements)));
    }
    return SumTiles(absl::MakeSpan(tiles));
  }

  // `threads` to share the elements of a row, or nullptr.
  void RunRows(int64_t begin, int64_t end, ThreadPool* threads) {
    if (stride_ > 1) return RunStrided(begin, end, threads);
    Place place = {tensors_, outputs_};
    place.Advance(*this, begin * size_);
    RunContiguous(place, end - begin, threads);
  }

  // Copies a block of rows together, computes, and copies the results back.
  void RunStrided(int64_t begin, int64_t end, ThreadPool* threads) {
    const int64_t rows_at_once = std::max<int64_t>(16, kBlockElements / size_);
    std::vector<std::vector<std::byte>> from(tensors_.size());
    std::vector<std::vector<std::byte>> to(outputs_.size());
    Place place;
    for (std::vector<std::byte>& buffer : from) {
      buffer.resize(rows_at_once * size_ * item_size_);
      place.tensors.push_back(buffer.data());
    }
    for (size_t o = 0; o < to.size(); ++o) {
      to[o].resize(rows_at_once * size_ * output_sizes_[o]);
      place.outputs.push_back(to[o].data());
    }
    for (int64_t row = begin; row < end;) {
      // Neighbours: rows that begin at consecutive elements.
      const int64_t column = row % stride_;
      const int64_t count =
          std::min({rows_at_once, end - row, stride_ - column});
      const int64_t first = row / stride_ * size_ * stride_ + column;
      for (size_t i = 0; i < from.size(); ++i) {
        Transpose(tensors_[i] + first * item_size_, from[i].data(), count,
                  item_size_, /*gather=*/true);
      }
      RunContiguous(place, count, threads);
      for (size_t o = 0; o < to.size(); ++o) {
        Transpose(to[o].data(), outputs_[o] + first * output_sizes_[o], count,
                  output_sizes_[o], /*gather=*/false);
      }
      row += count;
    }
  }

  // Between `count` rows, stride_ apart inside, and the same one after the
  // other.
  void Transpose(const std::byte* from, std::byte* to, int64_t count,
                 int64_t item_size, bool gather) const {
    const auto move = [&]<typename U>(U) {
      for (int64_t k = 0; k < size_; ++k) {
        for (int64_t r = 0; r < count; ++r) {
          const int64_t apart = (k * stride_ + r) * sizeof(U);
          const int64_t together = (r * size_ + k) * sizeof(U);
          std::memcpy(to + (gather ? together : apart),
                      from + (gather ? apart : together), sizeof(U));
        }
      }
    };
    switch (item_size) {
      case 2:
        return move(uint16_t{});
      case 4:
        return move(uint32_t{});
      default:
        return move(uint64_t{});
    }
  }

  void RunContiguous(Place place, int64_t num_rows, ThreadPool* threads) {
    if (size_ >= kLongRow) {
      LongBuffers buffers(program_, size_);
      for (int64_t row = 0; row < num_rows; ++row) {
        RunLongRow(place, buffers, threads);
        place.Advance(*this, size_);
      }
      return;
    }
    const int64_t rows_at_once =
        std::min(num_rows, std::max<int64_t>(1, kBlockElements / size_));
    ShortBuffers buffers(program_, rows_at_once, size_);
    for (int64_t row = 0; row < num_rows; row += rows_at_once) {
      const int64_t count = std::min(rows_at_once, num_rows - row);
      RunShortRows(place, count, buffers);
      place.Advance(*this, count * size_);
    }
  }

  // --- Long rows, one at a time.

  struct LongBuffers {
    LongBuffers(const RowProgram& program, int64_t size)
        : kept(program.stages_.num_kept, std::vector<T>(size)),
          numbers(program.stages_.num_row_numbers) {}
    std::vector<std::vector<T>> kept;
    std::vector<T> numbers;
  };

  void RunLongRow(const Place& place, LongBuffers& buffers,
                  ThreadPool* threads) {
    buffers.numbers[0] = static_cast<T>(size_);
    for (size_t s = 0; s < program_.kernels_.size(); ++s) {
      const RowStage& stage = program_.stages_.stages[s];
      const Kernels& kernels = program_.kernels_[s];
      ComputeNumbers(stage, kernels, buffers.numbers.data(), 1, 1);
      if (kernels.elements_of_long == nullptr) continue;
      std::vector<T> parameters = parameters_;
      for (const int number : stage.row_inputs) {
        parameters.push_back(buffers.numbers[number]);
      }
      // By sink and tile.
      const int64_t num_tiles =
          (size_ + kSumTileElements - 1) / kSumTileElements;
      std::vector<std::vector<double>> sums(stage.sinks.size());
      std::vector<std::vector<T>> maxima(stage.sinks.size());
      bool reduces = false;
      for (size_t o = 0; o < stage.sinks.size(); ++o) {
        if (stage.sinks[o].kind != Sink::Kind::kReduce) continue;
        reduces = true;
        if (stage.sinks[o].op == Op::kRowSum) sums[o].resize(num_tiles);
        if (stage.sinks[o].op == Op::kRowMax) maxima[o].resize(num_tiles);
      }
      const auto run = [&](int64_t first_tile, int64_t end_tile) {
        RunTiles(stage, *kernels.elements_of_long, place, buffers, parameters,
                 first_tile, end_tile, reduces, sums, maxima);
      };
      if (threads != nullptr && num_tiles >= 2 * kTilesPerTask) {
        threads->ParallelFor(
            (num_tiles + kTilesPerTask - 1) / kTilesPerTask, [&](int64_t i) {
              run(i * kTilesPerTask,
                  std::min(num_tiles, (i + 1) * kTilesPerTask));
            });
      } else {
        run(0, num_tiles);
      }
      for (size_t o = 0; o < stage.sinks.size(); ++o) {
        if (stage.sinks[o].kind != Sink::Kind::kReduce) continue;
        buffers.numbers[stage.sinks[o].index] =
            stage.sinks[o].op == Op::kRowSum
                ? static_cast<T>(SumTiles(absl::MakeSpan(sums[o])))
                : MaxOrNaN(maxima[o].data(), maxima[o].size()) + T{0};
      }
    }
  }

  // Of a row that threads share.
  static constexpr int64_t kTilesPerTask = 16;

  void RunTiles(const RowStage& stage, const LoadedKernel& kernel,
                const Place& place, LongBuffers& buffers,
                const std::vector<T>& parameters, int64_t first_tile,
                int64_t end_tile, bool reduces,
                std::vector<std::vector<double>>& sums,
                std::vector<std::vector<T>>& maxima) const {
    std::vector<std::vector<T>> scratch(stage.sinks.size());
    for (size_t o = 0; o < stage.sinks.size(); ++o) {
      if (stage.sinks[o].kind == Sink::Kind::kReduce) {
        scratch[o].resize(kSumTileElements);
      }
    }
    std::vector<const void*> in(stage.tensors.size() + stage.kept.size());
    std::vector<void*> out(stage.sinks.size());
    // Without reductions in one go.
    const int64_t step = reduces ? 1 : end_tile - first_tile;
    for (int64_t tile = first_tile; tile < end_tile; tile += step) {
      const int64_t begin = tile * kSumTileElements;
      const int64_t count =
          std::min(size_, (tile + step) * kSumTileElements) - begin;
      size_t i = 0;
      for (const int tensor : stage.tensors) {
        in[i++] = place.tensors[tensor] + begin * item_size_;
      }
      for (const int array : stage.kept) {
        in[i++] = buffers.kept[array].data() + begin;
      }
      for (size_t o = 0; o < out.size(); ++o) {
        const Sink& sink = stage.sinks[o];
        switch (sink.kind) {
          case Sink::Kind::kOutput:
            out[o] =
                place.outputs[sink.index] + begin * output_sizes_[sink.index];
            break;
          case Sink::Kind::kKeep:
            out[o] = buffers.kept[sink.index].data() + begin;
            break;
          case Sink::Kind::kReduce:
            out[o] = scratch[o].data();
        }
      }
      kernel.function()(in.data(), out.data(), parameters.data(), count);
      for (size_t o = 0; o < out.size(); ++o) {
        if (!sums[o].empty()) {
          sums[o][tile] =
              SumTile(absl::MakeConstSpan(scratch[o].data(), count));
        } else if (!maxima[o].empty()) {
          maxima[o][tile] = MaxOrNaN(scratch[o].data(), count);
        }
      }
    }
  }

  // --- Short rows, a block at a time.

  struct ShortBuffers {
    ShortBuffers(const RowProgram& program, int64_t num_rows, int64_t size)
        : rows(num_rows),
          kept(program.stages_.num_kept, std::vector<T>(num_rows * size)),
          numbers(program.stages_.num_row_numbers * num_rows) {}
    const int64_t rows;
    std::vector<std::vector<T>> kept;
    // Those of all rows, one number after the other.
    std::vector<T> numbers;
    // For each input of a stage that is a number of the row, and each output
    // that is reduced: one for each element.
    std::vector<std::vector<T>> spread;
    std::vector<std::vector<T>> scratch;
  };

  void RunShortRows(const Place& place, int64_t num_rows,
                    ShortBuffers& buffers) {
    std::fill_n(buffers.numbers.begin(), num_rows, static_cast<T>(size_));
    for (size_t s = 0; s < program_.kernels_.size(); ++s) {
      const RowStage& stage = program_.stages_.stages[s];
      const Kernels& kernels = program_.kernels_[s];
      ComputeNumbers(stage, kernels, buffers.numbers.data(), buffers.rows,
                     num_rows);
      if (kernels.elements_of_short == nullptr) continue;
      RunElements(stage, *kernels.elements_of_short, place, num_rows, buffers);
      for (size_t o = 0; o < stage.sinks.size(); ++o) {
        const Sink& sink = stage.sinks[o];
        if (sink.kind != Sink::Kind::kReduce) continue;
        const T* terms = buffers.scratch[o].data();
        T* number = buffers.numbers.data() + sink.index * buffers.rows;
        for (int64_t r = 0; r < num_rows; ++r, terms += size_) {
          number[r] =
              sink.op == Op::kRowSum
                  ? static_cast<T>(SumTile(absl::MakeConstSpan(terms, size_)))
                  : MaxOrNaN(terms, size_) + T{0};
        }
      }
    }
  }

  void RunElements(const RowStage& stage, const LoadedKernel& kernel,
                   const Place& place, int64_t num_rows,
                   ShortBuffers& buffers) {
    const int64_t count = num_rows * size_;
    std::vector<const void*> in;
    for (const int tensor : stage.tensors) in.push_back(place.tensors[tensor]);
    for (const int array : stage.kept) {
      in.push_back(buffers.kept[array].data());
    }
    buffers.spread.resize(
        std::max(buffers.spread.size(), stage.row_inputs.size()));
    for (size_t i = 0; i < stage.row_inputs.size(); ++i) {
      std::vector<T>& spread = buffers.spread[i];
      spread.resize(buffers.rows * size_);
      const T* numbers =
          buffers.numbers.data() + stage.row_inputs[i] * buffers.rows;
      for (int64_t r = 0; r < num_rows; ++r) {
        std::fill_n(spread.data() + r * size_, size_, numbers[r]);
      }
      in.push_back(spread.data());
    }
    std::vector<void*> out;
    buffers.scratch.resize(
        std::max(buffers.scratch.size(), stage.sinks.size()));
    for (size_t o = 0; o < stage.sinks.size(); ++o) {
      const Sink& sink = stage.sinks[o];
      switch (sink.kind) {
        case Sink::Kind::kOutput:
          out.push_back(place.outputs[sink.index]);
          break;
        case Sink::Kind::kKeep:
          out.push_back(buffers.kept[sink.index].data());
          break;
        case Sink::Kind::kReduce:
          buffers.scratch[o].resize(buffers.rows * size_);
          out.push_back(buffers.scratch[o].data());
      }
    }
    kernel.function()(in.data(), out.data(), parameters_.data(), count);
  }

  // The numbers of `count` rows that other numbers give. Number i of row r is
  // numbers[i * apart + r].
  void ComputeNumbers(const RowStage& stage, const Kernels& kernels, T* numbers,
                      int64_t apart, int64_t count) const {
    if (kernels.rows == nullptr) return;
    std::vector<const void*> in;
    for (const int number : stage.rows_inputs) {
      in.push_back(numbers + number * apart);
    }
    std::vector<void*> out;
    for (const int number : stage.rows_outputs) {
      out.push_back(numbers + number * apart);
    }
    kernels.rows->function()(in.data(), out.data(), parameters_.data(), count);
  }

  const RowProgram& program_;
  const LoweredProgram& lowered_;
  WorkItem& item_;
  const int64_t item_size_;
  const int64_t size_;
  const int64_t stride_;
  const int64_t num_rows_;
  const std::vector<T> parameters_;
  std::vector<const std::byte*> tensors_;
  std::vector<std::vector<std::byte>> copies_;
  // One per output of the program: its tensor, or the terms of its sum.
  std::vector<std::byte*> outputs_;
  std::vector<int64_t> output_sizes_;
  std::vector<std::vector<T>> terms_;
};

void RowProgram::Run(WorkItem& item, ThreadPool& threads,
                     int64_t min_elements_per_task) const {
  if (item.num_elements == 0) {
    item.sums.clear();
    for (const Output& output : lowered().graph.outputs) {
      if (output.summed) item.sums.push_back(0);
    }
    return;
  }
  if (lowered().compute == DType::kFloat64) {
    Runner<double>(*this, item).Run(threads, min_elements_per_task);
  } else {
    Runner<float>(*this, item).Run(threads, min_elements_per_task);
  }
}

}  // namespace actserve
