#include "kernels/device/cpu/cpu_program.h"

#include <numeric>
#include <utility>

#include "kernels/device/cpu/table.h"

namespace actserve {
namespace {

// Weight of the graph: a gelu is about where a core of today computes as long
// as it waits for memory.
constexpr int64_t kMaxNonTemporalWeight = 150;

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
  auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

void TableCache::Insert(const std::string& key,
                        std::shared_ptr<const ProgramTable> table) {
  absl::MutexLock lock(&mutex_);
  if (by_key_.contains(key)) return;  // built twice at once: equal
  size_bytes_ += table->size_bytes();
  entries_.emplace_front(key, std::move(table));
  by_key_[key] = entries_.begin();
  while (size_bytes_ > max_size_bytes_ && entries_.size() > 1) {
    size_bytes_ -= entries_.back().second->size_bytes();
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

absl::StatusOr<std::shared_ptr<CpuProgram>> CpuProgram::Create(
    const LoweredProgram& lowered, std::shared_ptr<KernelBuilder> builder) {
  absl::StatusOr<KernelBuilder::Built> plain =
      builder->Build(lowered, KernelVariant::kPlain);
  if (!plain.ok()) return plain.status();
  return std::shared_ptr<CpuProgram>(
      new CpuProgram(lowered, std::move(builder), *std::move(plain)));
}

KernelFunction CpuProgram::non_temporal() const {
  absl::call_once(non_temporal_once_, [this] {
    if (lowered().rule != LoweredProgram::Rule::kDirect ||
        lowered().weight > kMaxNonTemporalWeight) {
      return;
    }
    absl::StatusOr<KernelBuilder::Built> built =
        builder_->Build(lowered(), KernelVariant::kNonTemporal);
    if (built.ok()) non_temporal_ = std::move(built->kernel);
  });
  return non_temporal_ == nullptr ? nullptr : non_temporal_->function();
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
