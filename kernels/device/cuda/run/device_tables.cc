#include "kernels/device/cuda/run/device_tables.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace actserve {

DeviceTables::Table DeviceTables::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

void DeviceTables::Insert(const std::string& key, const Table& table) {
  std::vector<Table> dropped;  // given back outside the lock
  absl::MutexLock lock(&mutex_);
  if (by_key_.contains(key)) return;  // filled twice at once: equal
  size_bytes_ += table->size_bytes();
  entries_.emplace_front(key, table);
  by_key_[key] = entries_.begin();
  while (size_bytes_ > max_size_bytes_ && entries_.size() > 1) {
    size_bytes_ -= entries_.back().second->size_bytes();
    by_key_.erase(entries_.back().first);
    dropped.push_back(std::move(entries_.back().second));
    entries_.pop_back();
  }
}

absl::StatusOr<DeviceTables::Table> DeviceTables::Fill(
    const CudaProgram& program, absl::Span<const double> parameters,
    CuStream stream) {
  const LaunchLayout& layout = program.layout();
  absl::StatusOr<DeviceBlock> block =
      pool_->Allocate(layout.table_bytes(), stream);
  if (!block.ok()) return block.status();
  LaunchSegment segment;
  segment.table = block->address();
  segment.parameters.assign(parameters.begin(), parameters.end());
  absl::StatusOr<PackedLaunch> launch = PackLaunch(
      layout, KernelEntry::kFillTable, absl::MakeConstSpan(&segment, 1), {});
  if (!launch.ok()) return launch.status();
  absl::Status launched =
      program.Launch(KernelEntry::kFillTable, *launch, stream);
  if (!launched.ok()) return launched;
  return std::make_shared<const DeviceBlock>(*std::move(block));
}

absl::StatusOr<std::vector<DeviceTables::Table>> DeviceTables::Get(
    const CudaProgram& program,
    absl::Span<const absl::Span<const double>> parameters,
    const StagingSlot& slot) {
  std::vector<Table> tables;
  absl::flat_hash_map<std::string, Table> filled;
  absl::Status status;
  for (absl::Span<const double> values : parameters) {
    const std::string key = absl::StrCat(
        program.lowered().program_id,
        absl::string_view(reinterpret_cast<const char*>(values.data()),
                          values.size() * sizeof(double)));
    Table table = Find(key);
    if (table == nullptr) table = filled[key];
    if (table == nullptr) {
      absl::StatusOr<Table> fresh = Fill(program, values, slot.stream);
      status = fresh.status();
      if (!status.ok()) break;
      filled[key] = table = *std::move(fresh);
    }
    tables.push_back(std::move(table));
  }
  if (filled.empty()) {
    if (!status.ok()) return status;
    return tables;
  }
  // Also after an error: nothing may be given back while it is written.
  status.Update(context_->Check(
      "cuEventRecord", context_->cuda().EventRecord(slot.done, slot.stream)));
  status.Update(context_->Wait(slot.done));
  if (!status.ok()) return status;
  for (const auto& [key, table] : filled) Insert(key, table);
  return tables;
}

}  // namespace actserve
