#include "kernels/device/cuda/run/device_tables.h"

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/base/status_macros.h"

namespace actserve {

DeviceTables::Table DeviceTables::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const Table* found = tables_.Find(key);
  return found == nullptr ? nullptr : *found;
}

void DeviceTables::Insert(const std::string& key, const Table& table) {
  decltype(tables_)::Entries dropped;  // given back after the lock is released
  absl::MutexLock lock(&mutex_);
  dropped = tables_.Put(key, table, table->size_bytes());
}

absl::StatusOr<DeviceTables::Table> DeviceTables::Fill(
    const CudaProgram& program, absl::Span<const double> parameters,
    CuStream stream) {
  const LaunchLayout& layout = program.layout();
  ACTSERVE_ASSIGN_OR_RETURN(DeviceBlock block,
                            pool_->Allocate(layout.table_bytes(), stream));
  LaunchSegment segment;
  segment.table = block.address();
  segment.parameters.assign(parameters.begin(), parameters.end());
  ACTSERVE_ASSIGN_OR_RETURN(const PackedLaunch launch,
                            PackLaunch(layout, KernelEntry::kFillTable,
                                       absl::MakeConstSpan(&segment, 1), {}));
  ACTSERVE_RETURN_IF_ERROR(program.Launch(launch, stream));
  return std::make_shared<const DeviceBlock>(std::move(block));
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
