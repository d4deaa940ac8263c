#include "kernels/device/cpu/cpu_program.h"

#include <numeric>
#include <utility>

#include "kernels/base/status_macros.h"
#include "kernels/device/cpu/broadcast_run.h"
#include "kernels/device/cpu/table.h"
#include "kernels/graph/passes/broadcasts.h"

namespace actserve {
namespace {

// nullptr without a kernel, and after an error.
KernelFunction FunctionOf(LazyKernel* kernel) {
  return kernel == nullptr ? nullptr
                           : kernel->Get(StopToken()).value_or(nullptr);
}

}  // namespace

size_t ProgramTable::size_bytes() const {
  size_t size_bytes = derivatives.size() * sizeof(float);
  for (const std::vector<uint16_t>& result : results) {
    size_bytes += result.size() * sizeof(uint16_t);
  }
  return size_bytes;
}

std::shared_ptr<const ProgramTable> TableCache::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const auto* found = tables_.Find(key);
  return found == nullptr ? nullptr : *found;
}

void TableCache::Insert(const std::string& key,
                        std::shared_ptr<const ProgramTable> table) {
  const int64_t size_bytes = static_cast<int64_t>(table->size_bytes());
  decltype(tables_)::Entries dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  dropped = tables_.Put(key, std::move(table), size_bytes);
}

absl::StatusOr<std::shared_ptr<CpuProgram>> CpuProgram::Create(
    const LoweredProgram& lowered,
    const std::shared_ptr<KernelBuilder>& builder, const StopToken& stop) {
  ACTSERVE_ASSIGN_OR_RETURN(
      KernelBuilder::Built plain,
      builder->Build(lowered, KernelVariant::kPlain, stop));
  std::shared_ptr<CpuProgram> program(
      new CpuProgram(lowered, std::move(plain)));
  const auto lazy = [&](const LoweredProgram& of, KernelVariant variant) {
    return std::make_unique<LazyKernel>(of, variant, builder);
  };
  const bool waits_for_memory = lowered.rule == LoweredProgram::Rule::kDirect &&
                                lowered.weight <= kMaxNonTemporalWeight;
  if (waits_for_memory) {
    program->non_temporal_ = lazy(lowered, KernelVariant::kNonTemporal);
  }
  if (lowered.num_broadcasts > 0) {
    const LoweredProgram of_runs = WithBroadcastsAsParameters(lowered);
    program->plain_of_runs_ = lazy(of_runs, KernelVariant::kPlain);
    if (waits_for_memory) {
      program->non_temporal_of_runs_ =
          lazy(of_runs, KernelVariant::kNonTemporal);
    }
  }
  return program;
}

KernelFunction CpuProgram::non_temporal() const {
  return FunctionOf(non_temporal_.get());
}

KernelFunction CpuProgram::plain_of_runs() const {
  return FunctionOf(plain_of_runs_.get());
}

KernelFunction CpuProgram::non_temporal_of_runs() const {
  return FunctionOf(non_temporal_of_runs_.get());
}

int64_t CpuProgram::ScratchBytes(const WorkItem& item) const {
  return lowered().num_broadcasts == 0 ? 0
                                       : BroadcastScratchBytes(lowered(), item);
}

std::shared_ptr<const ProgramTable> CpuProgram::MakeTable(
    const void* parameters) const {
  std::vector<uint16_t> every_value(kTableEntries);
  std::iota(every_value.begin(), every_value.end(), 0);
  const void* inputs[] = {every_value.data()};
  auto table = std::make_shared<ProgramTable>();
  if (lowered().rule == LoweredProgram::Rule::kDerivative16) {
    table->derivatives.resize(kTableEntries);
    void* outputs[] = {table->derivatives.data()};
    plain()(inputs, outputs, parameters, kTableEntries);
    return table;
  }
  std::vector<void*> outputs;
  table->results.resize(lowered().graph.outputs.size());
  for (std::vector<uint16_t>& result : table->results) {
    result.resize(kTableEntries + kTablePadding);
    outputs.push_back(result.data());
  }
  plain()(inputs, outputs.data(), parameters, kTableEntries);
  return table;
}

}  // namespace actserve
