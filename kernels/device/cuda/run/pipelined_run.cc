#include "kernels/device/cuda/run/pipelined_run.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/time/time.h"
#include "kernels/base/status_macros.h"
#include "kernels/device/cuda/run/sliced_copy.h"
#include "kernels/device/fragment_cursor.h"
#include "kernels/device/tensor_part.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// Adds the time that it lives for, if `runs`.
class Stopwatch {
 public:
  Stopwatch(bool runs, absl::Duration* sum) : sum_(runs ? sum : nullptr) {
    if (runs) start_ = std::chrono::steady_clock::now();
  }
  ~Stopwatch() {
    if (sum_ == nullptr) return;
    *sum_ += absl::FromChrono(std::chrono::steady_clock::now() - start_);
  }

 private:
  absl::Duration* const sum_;
  std::chrono::steady_clock::time_point start_;
};

// Of the item's tensors, those that cross the bus.
size_t NumCopied(size_t num_tensors, const WorkItem& item) {
  return item.in_device_memory ? 0 : num_tensors;
}

CuDeviceAddress AddressOf(const std::byte* data) {
  return reinterpret_cast<CuDeviceAddress>(data);
}

}  // namespace

PipelinedRun::PipelinedRun(const RunResources& resources,
                           const CudaProgram& program,
                           absl::Span<WorkItem> items)
    : resources_(resources),
      context_(*resources.context),
      program_(program),
      items_(items),
      cutter_(program.lowered(), program.layout(), resources.ring->size_bytes(),
              items) {
  for (const WorkItem& item : items) timed_ |= item.time_stages;
  if (!program.layout().has_tile_sums()) return;
  const int num_sums = program.layout().num_sums();
  tile_sums_.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const int64_t num_tiles =
        (items[i].num_elements + kSumTileElements - 1) / kSumTileElements;
    tile_sums_[i].assign(num_sums, std::vector<double>(num_tiles));
  }
}

absl::Status PipelinedRun::Run() {
  const bool has_broadcasts = program_.layout().num_broadcasts() > 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    items_[i].sums.clear();
    if (has_broadcasts) {
      items_[i].sums.resize(cutter_.broadcasts(i).num_sums());
    }
  }
  absl::Status status = CheckResident();
  if (status.ok()) status = context_.Enter();
  if (status.ok()) status = MakeRoomToKeep();
  if (status.ok()) status = StartAll();
  while (!flights_.empty()) {
    absl::Status finished = FinishOldest();
    status.Update(finished);
  }
  if (!status.ok()) return status;
  for (size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].time_stages) items_[i].stages = stages_;
    items_[i].kept = kept_.empty() ? nullptr : kept_[i];
    if (has_broadcasts) {
      cutter_.broadcasts(i).AddZeros(absl::MakeSpan(items_[i].sums));
    }
    if (tile_sums_.empty()) continue;
    for (std::vector<double>& sums : tile_sums_[i]) {
      items_[i].sums.push_back(SumTiles(absl::MakeSpan(sums)));
    }
  }
  return absl::OkStatus();
}

absl::Status PipelinedRun::CheckResident() const {
  for (const WorkItem& item : items_) {
    const auto* const resident =
        dynamic_cast<const CudaResidentTensors*>(item.resident.get());
    if (item.resident != nullptr &&
        (resident == nullptr || resident->pool() != resources_.pool)) {
      return absl::InvalidArgumentError(
          "resident inputs: they are on another device");
    }
  }
  return absl::OkStatus();
}

// No room is no error: the item is then not kept. One with tensors that
// broadcast is not either, so that whoever keeps these has all inputs.
absl::Status PipelinedRun::MakeRoomToKeep() {
  const DType storage = program_.lowered().storage;
  for (size_t i = 0; i < items_.size(); ++i) {
    const WorkItem& item = items_[i];
    if (!item.keep_inputs || item.inputs.empty() || !item.broadcasts.empty()) {
      continue;
    }
    kept_.resize(items_.size());
    const int num_tensors = static_cast<int>(item.inputs.size());
    absl::StatusOr<DeviceBlock> block =
        resources_.pool->AllocateResident(CudaResidentTensors::SizeBytes(
            num_tensors, item.num_elements, storage));
    if (block.ok()) {
      kept_[i] = std::make_shared<const CudaResidentTensors>(
          num_tensors, item.num_elements, storage, resources_.pool,
          *std::move(block));
    } else if (!absl::IsResourceExhausted(block.status())) {
      return block.status();
    }
  }
  return absl::OkStatus();
}

// One run keeps to half of the slots, if others want some too.
StagingSlot* PipelinedRun::NextSlot(absl::Status& status) {
  if (flights_.empty()) return resources_.ring->Acquire();
  const size_t most = std::max(1, resources_.ring->num_slots() / 2);
  if (flights_.size() < most) {
    StagingSlot* const slot = resources_.ring->TryAcquire();
    if (slot != nullptr) return slot;
  }
  status = FinishOldest();
  if (!status.ok()) return nullptr;
  return NextSlot(status);
}

absl::Status PipelinedRun::StartAll() {
  for (;;) {
    Chunk chunk = cutter_.Next();
    if (chunk.pieces.empty()) return absl::OkStatus();
    absl::Status status;
    StagingSlot* const slot = NextSlot(status);
    if (slot == nullptr) return status;
    Flight& flight = flights_.emplace_back();
    flight.chunk = std::move(chunk);
    flight.slot = slot;
    status = Start(flight);
    if (!status.ok()) {
      // The flight stays, to be waited for, but brings nothing home.
      flight.chunk.pieces.clear();
      context_
          .Check("cuEventRecord",
                 context_.cuda().EventRecord(slot->done, slot->stream))
          .IgnoreError();
      return status;
    }
  }
}

absl::Status PipelinedRun::Start(Flight& flight) {
  // Another run may have found the device lost while this one waited.
  absl::Status status = context_.Enter();
  if (status.ok()) status = GetTables(flight);
  if (!status.ok()) return status;
  const Chunk& chunk = flight.chunk;
  const StagingSlot& slot = *flight.slot;
  if (!chunk.is_large) CopyIn(flight);

  const int64_t in_region_bytes = DevicePool::Padded(chunk.in_bytes);
  const int64_t out_region_bytes = DevicePool::Padded(chunk.out_bytes);
  // Given back at the end of this function: in the stream's order, so after
  // what is put there now.
  ACTSERVE_ASSIGN_OR_RETURN(
      DeviceBlock memory,
      resources_.pool->Allocate(
          in_region_bytes + out_region_bytes + chunk.scratch_bytes,
          slot.stream));
  const CuDeviceAddress out = memory.address() + in_region_bytes;
  ACTSERVE_ASSIGN_OR_RETURN(std::vector<PackedLaunch> launches,
                            Pack(flight, memory.address()));
  const int64_t in_bytes = PlaceTables(flight, memory.address(), launches);

  const CuFunctions& cuda = context_.cuda();
  const auto record = [&](CuEvent event) {
    if (status.ok()) {
      status =
          context_.Check("cuEventRecord", cuda.EventRecord(event, slot.stream));
    }
  };
  if (timed_) record(slot.begin);
  if (status.ok() && chunk.is_large) {
    status = CopyLargeIn(flight, memory.address());
  } else if (status.ok() && in_bytes > 0) {
    status = context_.Check(
        "cuMemcpyHtoDAsync",
        cuda.MemcpyHtoDAsync(memory.address(), slot.in, in_bytes, slot.stream));
  }
  if (status.ok()) status = Keep(flight, memory.address());
  if (timed_) record(slot.copied_in);
  for (const PackedLaunch& launch : launches) {
    if (status.ok()) status = program_.Launch(launch, slot.stream);
  }
  if (timed_) record(slot.computed);
  if (status.ok() && chunk.is_large) {
    status = CopyLargeOut(flight, out);
  } else if (status.ok() && chunk.out_bytes > 0) {
    status = context_.Check(
        "cuMemcpyDtoHAsync",
        cuda.MemcpyDtoHAsync(slot.out, out, chunk.out_bytes, slot.stream));
  }
  record(slot.done);
  return status;
}

int64_t PipelinedRun::PlaceTables(const Flight& flight, CuDeviceAddress memory,
                                  std::vector<PackedLaunch>& launches) {
  int64_t end_bytes = flight.chunk.segments_offset_bytes;
  for (PackedLaunch& launch : launches) {
    if (launch.segment_table.empty()) continue;
    const int64_t table_bytes =
        static_cast<int64_t>(launch.segment_table.size() * sizeof(uint64_t));
    std::memcpy(flight.slot->in + end_bytes, launch.segment_table.data(),
                table_bytes);
    launch.SetSegmentTable(memory + end_bytes);
    end_bytes += table_bytes;
  }
  return end_bytes;
}

absl::Status PipelinedRun::GetTables(Flight& flight) {
  if (!program_.layout().has_table()) return absl::OkStatus();
  const Stopwatch stopwatch(timed_, &stages_.compute);
  std::vector<absl::Span<const double>> parameters;
  for (const Piece& piece : flight.chunk.pieces) {
    parameters.push_back(items_[piece.item].parameters);
  }
  ACTSERVE_ASSIGN_OR_RETURN(
      flight.tables,
      resources_.tables->Get(program_, parameters, *flight.slot));
  return absl::OkStatus();
}

void PipelinedRun::CopyIn(const Flight& flight) {
  const Stopwatch stopwatch(timed_, &stages_.copy_in);
  const int64_t item_size_bytes = ItemSizeBytes(program_.lowered().storage);
  for (const Piece& piece : flight.chunk.pieces) {
    std::byte* to = flight.slot->in + piece.inputs_offset_bytes;
    const WorkItem& item = items_[piece.item];
    for (size_t i = 0; i < NumCopied(item.inputs.size(), item); ++i) {
      FragmentCursor cursor(item.inputs[i], PartAt(item.input_parts, i),
                            item_size_bytes);
      cursor.Skip(piece.begin * item_size_bytes);
      cursor.Copy(to, piece.num_elements * item_size_bytes);
      to += cutter_.PaddedTensorBytes(piece.num_elements);
    }
    if (program_.layout().num_broadcasts() == 0) continue;
    const auto copy = [to](absl::Span<const Fragment> data,
                           int64_t offset_bytes, int64_t size_bytes) {
      FragmentCursor(data).Copy(to + offset_bytes, size_bytes);
      return absl::OkStatus();
    };
    cutter_.broadcasts(piece.item).ForEachPart(copy).IgnoreError();
  }
}

absl::Status PipelinedRun::CopyLargeIn(const Flight& flight,
                                       CuDeviceAddress memory) {
  SlicedCopy copy(context_, *flight.slot, resources_.ring->size_bytes());
  const Piece& piece = flight.chunk.pieces[0];
  const WorkItem& item = items_[piece.item];
  const int64_t item_size_bytes = ItemSizeBytes(program_.lowered().storage);
  for (size_t i = 0; i < NumCopied(item.inputs.size(), item); ++i) {
    const FragmentCursor cursor(item.inputs[i], PartAt(item.input_parts, i),
                                item_size_bytes);
    ACTSERVE_RETURN_IF_ERROR(
        copy.In(cursor, memory, piece.num_elements * item_size_bytes));
    memory += cutter_.PaddedTensorBytes(piece.num_elements);
  }
  if (program_.layout().num_broadcasts() > 0) {
    ACTSERVE_RETURN_IF_ERROR(
        cutter_.broadcasts(piece.item)
            .ForEachPart([&](absl::Span<const Fragment> data,
                             int64_t offset_bytes, int64_t part_bytes) {
              return copy.In(FragmentCursor(data), memory + offset_bytes,
                             part_bytes);
            }));
  }
  return copy.Finish();
}

absl::Status PipelinedRun::CopyLargeOut(const Flight& flight,
                                        CuDeviceAddress out) {
  SlicedCopy copy(context_, *flight.slot, resources_.ring->size_bytes());
  const Piece& piece = flight.chunk.pieces[0];
  const WorkItem& item = items_[piece.item];
  for (size_t o = 0; o < NumCopied(item.outputs.size(), item); ++o) {
    ACTSERVE_RETURN_IF_ERROR(copy.Out(
        out, item.outputs[o], PartAt(item.output_parts, o), piece.num_elements,
        ItemSizeBytes(program_.lowered().storage)));
    out += cutter_.PaddedTensorBytes(piece.num_elements);
  }
  if (!tile_sums_.empty()) {
    for (std::vector<double>& sums : tile_sums_[piece.item]) {
      const int64_t sums_bytes =
          static_cast<int64_t>(sums.size() * sizeof(double));
      ACTSERVE_RETURN_IF_ERROR(copy.Out(out, sums.data(), sums_bytes));
      out += sums_bytes;
    }
  }
  std::vector<double>& sums = items_[piece.item].sums;
  if (!sums.empty()) {
    ACTSERVE_RETURN_IF_ERROR(copy.Out(
        out, sums.data(), static_cast<int64_t>(sums.size() * sizeof(double))));
  }
  return copy.Finish();
}

absl::Status PipelinedRun::Keep(const Flight& flight, CuDeviceAddress memory) {
  if (kept_.empty()) return absl::OkStatus();
  const int64_t item_size_bytes = ItemSizeBytes(program_.lowered().storage);
  absl::Status status;
  for (const Piece& piece : flight.chunk.pieces) {
    const CudaResidentTensors* const kept = kept_[piece.item].get();
    if (kept == nullptr) continue;
    for (int t = 0; t < kept->num_tensors() && status.ok(); ++t) {
      status = context_.Check(
          "cuMemcpyDtoDAsync",
          context_.cuda().MemcpyDtoDAsync(
              kept->address(t, piece.begin), InputAddress(piece, t, memory),
              piece.num_elements * item_size_bytes, flight.slot->stream));
    }
  }
  return status;
}

CuDeviceAddress PipelinedRun::InputAddress(const Piece& piece, size_t input,
                                           CuDeviceAddress memory) const {
  const WorkItem& item = items_[piece.item];
  if (item.in_device_memory) {
    return AddressOf(item.inputs[input][0].data) +
           piece.begin * ItemSizeBytes(program_.lowered().storage);
  }
  return memory + piece.inputs_offset_bytes +
         input * cutter_.PaddedTensorBytes(piece.num_elements);
}

KernelEntry PipelinedRun::ChooseEntry(const Flight& flight) const {
  if (!program_.can_launch(KernelEntry::kRunShared) ||
      flight.chunk.num_elements < resources_.shared_table_min_elements) {
    return KernelEntry::kRun;
  }
  for (const DeviceTables::Table& table : flight.tables) {
    if (table != flight.tables[0]) return KernelEntry::kRun;
  }
  return KernelEntry::kRunShared;
}

absl::StatusOr<std::vector<PackedLaunch>> PipelinedRun::Pack(
    const Flight& flight, CuDeviceAddress memory) const {
  const LaunchLayout& layout = program_.layout();
  const Chunk& chunk = flight.chunk;
  const int64_t item_size_bytes = ItemSizeBytes(program_.lowered().storage);
  const CuDeviceAddress out = memory + DevicePool::Padded(chunk.in_bytes);
  const CuDeviceAddress scratch = out + DevicePool::Padded(chunk.out_bytes);
  std::vector<LaunchSegment> segments;
  segments.reserve(chunk.pieces.size());
  for (size_t p = 0; p < chunk.pieces.size(); ++p) {
    const Piece& piece = chunk.pieces[p];
    const int64_t tensor_bytes = cutter_.PaddedTensorBytes(piece.num_elements);
    LaunchSegment& segment = segments.emplace_back();
    segment.num_elements = piece.num_elements;
    const WorkItem& item = items_[piece.item];
    if (item.resident != nullptr) {
      const auto& resident =
          static_cast<const CudaResidentTensors&>(*item.resident);
      for (int t = 0; t < resident.num_tensors(); ++t) {
        segment.inputs.push_back(resident.address(t, piece.begin));
      }
    }
    for (size_t i = 0; i < item.inputs.size(); ++i) {
      segment.inputs.push_back(InputAddress(piece, i, memory));
    }
    for (int o = 0; o < layout.num_outputs(); ++o) {
      segment.outputs.push_back(
          item.in_device_memory
              ? AddressOf(item.outputs[o]) + piece.begin * item_size_bytes
              : out + piece.outputs_offset_bytes + o * tensor_bytes);
    }
    if (layout.has_table()) segment.table = flight.tables[p]->address();
    if (layout.has_tile_sums()) {
      segment.tile_sums = out + piece.sums_offset_bytes;
    }
    segment.row_size = item.rows.size;
    segment.row_stride = item.rows.stride;
    segment.scratch = scratch + piece.scratch_offset_bytes;
    if (layout.num_broadcasts() > 0) {
      segment.begin = piece.begin;
      segment.broadcasts = cutter_.broadcasts(piece.item)
                               .At(memory + piece.broadcasts_offset_bytes);
    }
    segment.parameters.assign(item.parameters.begin(), item.parameters.end());
    segment.draws = DrawWords(program_.lowered().graph, item.parameters,
                              item.element_offset + piece.begin);
  }
  std::vector<PackedLaunch> launches;
  if (layout.has_rows()) {
    ACTSERVE_ASSIGN_OR_RETURN(launches, PackRows(layout, segments));
  } else {
    LaunchOptions options;
    options.num_multiprocessors = context_.num_multiprocessors();
    options.window = program_.window();
    ACTSERVE_ASSIGN_OR_RETURN(
        launches.emplace_back(),
        PackLaunch(layout, ChooseEntry(flight), segments, options));
  }
  if (layout.num_sums() > 0 && layout.num_broadcasts() > 0) {
    const Piece& piece = chunk.pieces[0];
    std::vector<PackedLaunch> sums =
        cutter_.broadcasts(piece.item)
            .PackAllSums(layout, segments[0],
                         scratch + piece.sum_scratch_offset_bytes,
                         out + piece.sums_offset_bytes);
    std::move(sums.begin(), sums.end(), std::back_inserter(launches));
  }
  return launches;
}

absl::Status PipelinedRun::FinishOldest() {
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  absl::Status status = context_.Wait(flight.slot->done);
  if (status.ok() && !flight.chunk.pieces.empty()) {
    if (timed_) CountStages(*flight.slot);
    if (!flight.chunk.is_large) CopyOut(flight);
  }
  flight.tables.clear();
  resources_.ring->Release(flight.slot);
  return status;
}

void PipelinedRun::CountStages(const StagingSlot& slot) {
  const auto between = [this](CuEvent start, CuEvent end) {
    float milliseconds = 0;
    context_
        .Check("cuEventElapsedTime",
               context_.cuda().EventElapsedTime(&milliseconds, start, end))
        .IgnoreError();
    return absl::Milliseconds(milliseconds);
  };
  stages_.copy_in += between(slot.begin, slot.copied_in);
  stages_.compute += between(slot.copied_in, slot.computed);
  stages_.copy_out += between(slot.computed, slot.done);
}

void PipelinedRun::CopyOut(const Flight& flight) {
  const Stopwatch stopwatch(timed_, &stages_.copy_out);
  const LaunchLayout& layout = program_.layout();
  const int64_t item_size_bytes = ItemSizeBytes(program_.lowered().storage);
  for (const Piece& piece : flight.chunk.pieces) {
    const std::byte* from = flight.slot->out + piece.outputs_offset_bytes;
    const WorkItem& item = items_[piece.item];
    for (size_t o = 0; o < NumCopied(item.outputs.size(), item); ++o) {
      CopyIntoPart(from, piece.begin, piece.num_elements,
                   PartAt(item.output_parts, o), item_size_bytes,
                   item.outputs[o]);
      from += cutter_.PaddedTensorBytes(piece.num_elements);
    }
    from = flight.slot->out + piece.sums_offset_bytes;
    std::vector<double>& all_sums = items_[piece.item].sums;
    if (!all_sums.empty()) {
      std::memcpy(all_sums.data(), from, all_sums.size() * sizeof(double));
    }
    if (tile_sums_.empty()) continue;
    const int64_t sums_bytes =
        layout.tile_sums_bytes(piece.num_elements) / layout.num_sums();
    for (std::vector<double>& sums : tile_sums_[piece.item]) {
      std::memcpy(sums.data() + piece.begin / kSumTileElements, from,
                  sums_bytes);
      from += sums_bytes;
    }
  }
}

}  // namespace actserve
