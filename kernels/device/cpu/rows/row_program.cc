#include "kernels/device/cpu/rows/row_program.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "kernels/base/status_macros.h"
#include "kernels/graph/copy.h"

namespace actserve {
namespace {

using Sink = RowStage::Sink;

// The written elements of a stage as a program of its own. `by_row`: numbers of
// the row are one for each row, otherwise one for each element.
LoweredProgram ElementsProgram(const LoweredProgram& whole,
                               const RowStage& stage,
                               const std::vector<int>& written, bool by_row) {
  const Graph& from = stage.elements;
  Graph graph = WithSignatureOf(from);
  const auto leaf = [&](const Node& node) {
    return node.op == Op::kParameter ? graph.ParameterNode(node.index)
                                     : graph.Input(node.index);
  };
  const auto add = [&](Op op, NodeId a, NodeId b, NodeId c) {
    return graph.Add(op, a, b, c);
  };
  const std::vector<NodeId> moved = CopyNodes(from, graph, leaf, add);
  for (const int o : written) {
    const Sink& sink = stage.sinks[o];
    const bool in_storage = sink.kind == Sink::Kind::kOutput &&
                            !whole.graph.outputs[sink.index].summed;
    graph.outputs.push_back({"", moved[from.outputs[o].node], !in_storage});
  }
  LoweredProgram program;
  program.num_compute_inputs =
      static_cast<int>(graph.inputs.size() - stage.tensors.size());
  if (by_row) {
    program.num_row_inputs = static_cast<int>(stage.row_inputs.size());
  }
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

LoweredProgram DrawsProgram(const RowStages& stages) {
  LoweredProgram program;
  program.graph = stages.draws;
  for (Output& output : program.graph.outputs) output.summed = true;
  return program;
}

// If the kernel of `step` writes tensors and nothing that is read again.
bool WritesOutputsOnly(const LoweredProgram& whole, const RowStep& step) {
  return !step.written.empty() && std::ranges::all_of(step.written, [&](int o) {
    const Sink& sink = step.stage->sinks[o];
    return sink.kind == Sink::Kind::kOutput &&
           !whole.graph.outputs[sink.index].summed;
  });
}

}  // namespace

RowProgram::RowProgram(LoweredProgram lowered, RowStages stages,
                       int num_threads)
    : Program(std::move(lowered)),
      stages_(std::move(stages)),
      num_threads_(num_threads) {}

// What lies in memory already, or is kept as well, is reduced there.
void RowProgram::PlanSinks(RowStep& step) const {
  using From = RowStep::Reduction::From;
  const RowStage& stage = *step.stage;
  std::map<NodeId, std::pair<From, int>> found;
  for (size_t o = 0; o < stage.sinks.size(); ++o) {
    const Sink& sink = stage.sinks[o];
    if (sink.kind == Sink::Kind::kReduce) continue;
    step.written.push_back(static_cast<int>(o));
    if (sink.kind == Sink::Kind::kKeep) {
      found[stage.elements.outputs[o].node] = {From::kKept, sink.index};
    }
  }
  for (size_t o = 0; o < stage.sinks.size(); ++o) {
    const Sink& sink = stage.sinks[o];
    if (sink.kind != Sink::Kind::kReduce) continue;
    const NodeId id = stage.elements.outputs[o].node;
    const Node& node = stage.elements.node(id);
    const size_t index = node.index;
    const size_t num_tensors = stage.tensors.size();
    if (node.op == Op::kInput && index < num_tensors) {
      found[id] = {From::kTensor, stage.tensors[index]};
    } else if (node.op == Op::kInput && index >= num_tensors &&
               index < num_tensors + stage.kept.size()) {
      found[id] = {From::kKept, stage.kept[index - num_tensors]};
    } else if (!found.contains(id)) {
      found[id] = {From::kScratch, static_cast<int>(step.written.size())};
      step.written.push_back(static_cast<int>(o));
    }
    const auto [from, at] = found[id];
    step.reductions.push_back({sink.op, sink.index, from, at});
  }
}

absl::StatusOr<std::shared_ptr<RowProgram>> RowProgram::Create(
    const LoweredProgram& lowered, std::shared_ptr<KernelBuilder> builder,
    int num_threads, const StopToken& stop) {
  std::shared_ptr<RowProgram> program(
      new RowProgram(lowered, CutIntoStages(lowered.graph), num_threads));
  const auto kernel =
      [&](LoweredProgram part,
          KernelVariant variant) -> std::unique_ptr<LazyKernel> {
    if (part.graph.outputs.empty()) return nullptr;
    part.storage = lowered.storage;
    part.compute = lowered.compute;
    part.interleave = lowered.interleave;
    return std::make_unique<LazyKernel>(std::move(part), variant, builder);
  };
  const auto build = [&](const std::unique_ptr<LazyKernel>& lazy) {
    if (lazy == nullptr) return absl::OkStatus();
    ACTSERVE_RETURN_IF_ERROR(lazy->Get(stop).status());
    program->object_size_bytes_ += lazy->object_size_bytes();
    return absl::OkStatus();
  };
  program->draws_ =
      kernel(DrawsProgram(program->stages_), KernelVariant::kPlain);
  ACTSERVE_RETURN_IF_ERROR(build(program->draws_));
  for (const RowStage& stage : program->stages_.stages) {
    RowStep& step = program->steps_.emplace_back();
    step.stage = &stage;
    program->PlanSinks(step);
    step.rows = kernel(RowsProgram(stage), KernelVariant::kPlain);
    ACTSERVE_RETURN_IF_ERROR(build(step.rows));
    for (const bool by_row : {true, false}) {
      const LoweredProgram elements =
          ElementsProgram(lowered, stage, step.written, by_row);
      RowStep::Elements& kernels =
          by_row ? step.elements_by_row : step.elements_of_short;
      kernels.plain = kernel(elements, KernelVariant::kPlain);
      if (WritesOutputsOnly(lowered, step) &&
          elements.graph.Weight() <= kMaxNonTemporalWeight) {
        kernels.non_temporal = kernel(elements, KernelVariant::kNonTemporal);
      }
    }
    ACTSERVE_RETURN_IF_ERROR(build(step.elements_by_row.plain));
  }
  return program;
}

int64_t RowProgram::ScratchBytes(const WorkItem& item) const {
  return RowScratchBytes(lowered(), stages_, num_threads_, item);
}

absl::Status RowProgram::Run(WorkItem& item, ThreadPool& threads,
                             const RowOptions& options) const {
  if (item.num_elements == 0) {
    item.sums.clear();
    for (const Output& output : lowered().graph.outputs) {
      if (!output.summed) continue;
      const int64_t num_sums =
          output.like < 0 ? 1
                          : item.broadcasts[output.like].shape.num_elements();
      item.sums.insert(item.sums.end(), num_sums, 0);
    }
    return absl::OkStatus();
  }
  return RunRows(lowered(), stages_, draws_.get(), steps_, threads, options,
                 item);
}

}  // namespace actserve
