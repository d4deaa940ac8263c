#include "kernels/codegen/cuda/launch.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/base/status_macros.h"
#include "kernels/codegen/cuda/row_text.h"
#include "kernels/graph/draws.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kRunThreads = 256;
constexpr int kSharedThreads = 1024;

// Copies of a program's arithmetic that a kernel may hold, by its weight:
// NVRTC takes about half a second for 5,000 operations.
constexpr int64_t kUnrolledWeight = 300;
constexpr int64_t kVectorWeight = 1500;

// A single op of more weight than this (sin, cos, tan, pow: they compute in
// double) keeps so many values alive that several vectors waiting beside it
// spill, on sm_80 for one.
constexpr int kLargeOpWeight = 130;

// Where tensors broadcast, a thread has no registers for a vector of each
// tensor if that is more numbers.
constexpr int kMaxVectorNumbers = 32;

// Vectors of every input that a thread loads before it uses one: 64 bytes a
// thread for one input, and with 1,024 threads on a multiprocessor (64
// registers each) 32 KiB or more in flight for any number. Outputs count as
// much as inputs, since they wait in registers too.
int VectorsInFlight(int num_inputs, int num_outputs) {
  return std::clamp(4 / std::max({num_inputs, num_outputs, 1}), 1, 4);
}

bool HasLargeOp(const Graph& graph) {
  const std::vector<bool> live = graph.LiveNodes();
  for (size_t id = 0; id < live.size(); ++id) {
    if (live[id] && Info(graph.node(id).op).weight > kLargeOpWeight) {
      return true;
    }
  }
  return false;
}

// Programs of rows of more weight have one copy of each stage in each entry;
// and those of more than the other run short rows as they run others, since
// several rows in a block take several copies.
constexpr int64_t kLightRowWeight = 100;
constexpr int64_t kShortRowWeight = 200;
// The longest rows of kRowsOfFew and kRowsOfSome that are not interleaved.
constexpr int64_t kFew = 128;
constexpr int64_t kSome = 1024;
constexpr int kFinishRowsThreads = 512;

int64_t TilesOfRow(int64_t row_size) {
  return (row_size + kSumTileElements - 1) / kSumTileElements;
}

int64_t Aligned(int64_t bytes) { return (bytes + 7) / 8 * 8; }

// The top of a window that cannot hold all entries: 32 in float16, 2^21 in
// bfloat16. Activations are rarely larger.
uint32_t WindowTop(DType storage) {
  return storage == DType::kFloat16 ? 0x5000 : 0x4a00;
}

}  // namespace

LaunchLayout::LaunchLayout(const LoweredProgram& program)
    : storage_(program.storage),
      num_inputs_(program.num_tensor_inputs()),
      num_broadcasts_(program.num_broadcasts) {
  for (const Output& output : program.graph.outputs) {
    ++(output.summed ? num_sums_ : num_outputs_);
  }
  num_parameters_ = static_cast<int>(program.graph.parameters.size());
  if (program.graph.HasDraws()) {
    num_draw_words_ =
        1 + static_cast<int>(SeedParameters(program.graph).size());
  }
  compute_bytes_ = ItemSizeBytes(program.compute);
  vector_elements_ =
      static_cast<int>(kVectorBytes / ItemSizeBytes(program.storage));
  // What is read of tensors that broadcast waits in registers too, but only of
  // one vector.
  vectors_in_flight_ =
      VectorsInFlight(num_inputs_ + num_broadcasts_ / 2, num_outputs_);
  switch (program.rule) {
    case LoweredProgram::Rule::kRoundOnce16:
      table_entry_bytes_ = 2;
      return;
    case LoweredProgram::Rule::kDerivative16:
      table_entry_bytes_ = 4;
      return;
    case LoweredProgram::Rule::kDirect:
      break;
  }
  const int64_t weight = program.graph.Weight();
  is_heavy_ = weight > kUnrolledWeight;
  const bool has_large_op = HasLargeOp(program.graph);
  if (program.graph.HasRows()) {
    const RowShape shape(CutIntoStages(program.graph));
    num_stages_ = shape.num_stages;
    num_row_numbers_ = shape.num_numbers;
    num_row_arrays_ = shape.num_arrays;
    max_row_reductions_ = shape.max_reductions;
    if (shape.has_moves) max_row_size_ = kMaxMovedRow;
    has_short_rows_ = weight <= kShortRowWeight && !has_large_op;
    row_copies_ = weight <= kLightRowWeight && !has_large_op ? 4 : 1;
    return;
  }
  // The random numbers of several elements take so many registers that some
  // architectures spill, and more time than the memory: one at a time.
  const bool draws = program.graph.HasDraws();
  rows_in_flight_ = is_heavy_ || draws ? 1
                    : has_large_op     ? 2
                                       : std::max(8 / num_inputs_, 1);
  const int numbers_of_vectors =
      vector_elements_ * (num_inputs_ + num_broadcasts_ + num_outputs_);
  if (num_sums_ > 0) {
    body_ = Body::kSummed;
  } else if (weight > kVectorWeight || draws ||
             (num_broadcasts_ > 0 && numbers_of_vectors > kMaxVectorNumbers)) {
    body_ = Body::kScalar;
  } else if (is_heavy_ || has_large_op) {
    body_ = Body::kVector;
  }
}

bool LaunchLayout::has_entry(KernelEntry entry) const {
  switch (entry) {
    case KernelEntry::kRun:
      return !has_rows();
    case KernelEntry::kFinishSums:
      return has_tile_sums();
    case KernelEntry::kRowsOfFew:
    case KernelEntry::kRowsOfSome:
      return has_rows() && has_short_rows_;
    case KernelEntry::kRows:
    case KernelEntry::kRowTiles:
    case KernelEntry::kFinishRows:
      return has_rows();
    case KernelEntry::kSumTerms:
      return has_rows() && has_tile_sums();
    case KernelEntry::kSumRuns:
    case KernelEntry::kSumRows:
    case KernelEntry::kFoldSums:
      return num_sums_ > 0 && num_broadcasts_ > 0;
    case KernelEntry::kFillTable:
    case KernelEntry::kRunShared:
      return has_table();
  }
  return false;
}

std::vector<CudaPart> LaunchLayout::parts() const {
  if (has_entry(KernelEntry::kSumRuns)) {
    return {CudaPart::kProgram, CudaPart::kTermSums};
  }
  if (!has_table()) return {CudaPart::kProgram};
  return {CudaPart::kProgram, CudaPart::kLookUp, CudaPart::kSharedLookUp};
}

CudaPart LaunchLayout::part(KernelEntry entry) const {
  if (entry == KernelEntry::kSumRuns || entry == KernelEntry::kSumRows ||
      entry == KernelEntry::kFoldSums) {
    return CudaPart::kTermSums;
  }
  if (!has_table() || entry == KernelEntry::kFillTable) {
    return CudaPart::kProgram;
  }
  return entry == KernelEntry::kRun ? CudaPart::kLookUp
                                    : CudaPart::kSharedLookUp;
}

int LaunchLayout::threads(KernelEntry entry) const {
  switch (entry) {
    case KernelEntry::kRunShared:
      return kSharedThreads;
    case KernelEntry::kRun:
      return body_ == Body::kSummed ? static_cast<int>(kSumLanes) : kRunThreads;
    case KernelEntry::kRowsOfFew:
    case KernelEntry::kRowsOfSome:
    case KernelEntry::kRows:
    case KernelEntry::kRowTiles:
    case KernelEntry::kSumTerms:
    case KernelEntry::kSumRuns:
    case KernelEntry::kSumRows:
    case KernelEntry::kFoldSums:
      return static_cast<int>(kSumLanes);
    case KernelEntry::kFinishRows:
      return kFinishRowsThreads;
    case KernelEntry::kFinishSums:
    case KernelEntry::kFillTable:
      break;
  }
  return kRunThreads;
}

int LaunchLayout::max_registers(KernelEntry entry) const {
  const bool looks_up = has_table() && entry != KernelEntry::kFillTable;
  const bool in_float64 = compute_bytes_ == sizeof(double) && !looks_up;
  switch (entry) {
    case KernelEntry::kRowsOfFew:
      // Eight elements, and lanes of each sum.
      return in_float64 ? 168 : 128;
    case KernelEntry::kRowsOfSome:
      // The terms of several sums live beside the row.
      return in_float64 ? 128 : num_sums_ > 1 ? 96 : 80;
    case KernelEntry::kRows:
    case KernelEntry::kRowTiles:
    case KernelEntry::kFinishRows:
      return in_float64 ? 128 : 80;
    default:
      return in_float64 ? 128 : 64;
  }
}

int LaunchLayout::ThreadsOfRow(KernelEntry entry) {
  return entry == KernelEntry::kRowsOfFew    ? 16
         : entry == KernelEntry::kRowsOfSome ? 32
                                             : static_cast<int>(kSumLanes);
}

int LaunchLayout::row_copies(KernelEntry entry) const {
  // A copy for each lane of the sums' tree that a thread has.
  const int lanes = static_cast<int>(kSumLanes) / ThreadsOfRow(entry);
  return std::max(lanes, row_copies_);
}

KernelEntry LaunchLayout::RowEntry(int64_t row_size, int64_t row_stride) const {
  if (row_size > kMaxRowOfBlock) return KernelEntry::kRowTiles;
  if (!has_short_rows_) return KernelEntry::kRows;
  // Of interleaved rows as many together as make whole sectors of memory.
  if (row_size <= kFew || row_stride > 1) return KernelEntry::kRowsOfFew;
  return row_size <= kSome ? KernelEntry::kRowsOfSome : KernelEntry::kRows;
}

int LaunchLayout::vectors_in_flight(KernelEntry entry) const {
  // Looking up takes few registers, so that more threads fit, and small work
  // spreads over more blocks.
  const bool light = has_table() && entry == KernelEntry::kRun;
  return light ? std::min(vectors_in_flight_, 2) : vectors_in_flight_;
}

int64_t LaunchLayout::tile_elements(KernelEntry entry) const {
  if (entry == KernelEntry::kFillTable) return kRunThreads;
  if (entry == KernelEntry::kSumTerms || body_ == Body::kSummed) {
    return kSumTileElements;
  }
  return int64_t{threads(entry)} * vector_elements_ * vectors_in_flight(entry);
}

int64_t LaunchLayout::NumTiles(KernelEntry entry, int64_t num_elements) const {
  const int64_t tile = tile_elements(entry);
  // Without a sum that may overflow.
  return num_elements / tile + (num_elements % tile != 0 ? 1 : 0);
}

int LaunchLayout::row_words() const {
  return 1 + num_inputs_ + num_outputs_ + (has_table() ? 1 : 0) +
         (has_tile_sums() ? 2 : 0) + (has_rows() ? 2 : 0) +
         (has_scratch() ? 1 : 0) +
         (num_broadcasts_ > 0 ? 1 + num_broadcasts_ * kBroadcastWords : 0) +
         num_parameters_ + num_draw_words_;
}

int64_t LaunchLayout::table_bytes() const {
  return kTableEntries * table_entry_bytes_ * num_outputs_;
}

TableWindow LaunchLayout::SharedWindow(int64_t max_shared_bytes) const {
  constexpr uint32_t kAll = 0x8000;
  const int64_t bytes_per_magnitude = 2 * table_entry_bytes_ * num_outputs_;
  const int64_t fit = max_shared_bytes / bytes_per_magnitude;
  TableWindow window;
  // In whole vectors, so that it is copied by them.
  window.size = static_cast<uint32_t>(std::clamp<int64_t>(fit, 0, kAll)) & ~7u;
  const uint32_t top = WindowTop(storage_);
  window.begin = top > window.size ? top - window.size : 0;
  return window;
}

int64_t LaunchLayout::SharedBytes(TableWindow window) const {
  return int64_t{2} * window.size * table_entry_bytes_ * num_outputs_;
}

int64_t LaunchLayout::tile_sums_bytes(int64_t num_elements) const {
  if (!has_tile_sums()) return 0;
  const int64_t num_tiles = num_elements / kSumTileElements +
                            (num_elements % kSumTileElements != 0 ? 1 : 0);
  return num_sums_ * num_tiles * static_cast<int64_t>(sizeof(double));
}

int64_t LaunchLayout::scratch_bytes(int64_t num_elements,
                                    int64_t row_size) const {
  if (!has_scratch() || num_elements == 0) return 0;
  return Aligned(terms_offset_bytes(num_sums_, num_elements, row_size));
}

int64_t LaunchLayout::terms_offset_bytes(int sum, int64_t num_elements,
                                         int64_t row_size) const {
  int64_t bytes = compute_bytes_ * sum * num_elements;
  if (!has_rows()) return bytes;
  bytes += Aligned(compute_bytes_ * num_row_arrays_ * num_elements);
  if (row_size > kMaxRowOfBlock) {
    const int64_t num_rows = num_elements / row_size;
    bytes += static_cast<int64_t>(sizeof(double)) * max_row_reductions_ *
                 num_rows * TilesOfRow(row_size) +
             Aligned(compute_bytes_ * num_row_numbers_ * num_rows);
  }
  return bytes;
}

int64_t LaunchLayout::row_shared_bytes(KernelEntry entry,
                                       int64_t row_size) const {
  const int64_t rows = threads(entry) / ThreadsOfRow(entry);
  return compute_bytes_ * num_row_arrays_ * rows * row_size;
}

Division::Division(uint64_t by) : divisor(by), factor(0), shift(0) {
  while ((uint64_t{1} << shift) < divisor) ++shift;
  factor = static_cast<uint64_t>(
      ((static_cast<unsigned __int128>(1) << (63 + shift)) / divisor) + 1);
}

namespace {

// By the size of a dimension. Where that is 0, nothing is ever divided.
void AppendDivision(int64_t size, std::vector<uint64_t>& words) {
  const Division division(std::max<int64_t>(size, 1));
  words.insert(words.end(),
               {division.divisor, division.factor, division.shift});
}

// Takes the last dimension if it is `repeated`, else one of size 1.
int64_t TakeLast(absl::Span<const Broadcast::Dimension>& dimensions,
                 bool repeated) {
  if (dimensions.empty() || dimensions.back().repeated != repeated) return 1;
  const int64_t size = dimensions.back().size;
  dimensions.remove_suffix(1);
  return size;
}

void AppendBroadcast(const LaunchBroadcast& broadcast,
                     std::vector<uint64_t>& words) {
  absl::Span<const Broadcast::Dimension> dimensions =
      broadcast.shape.dimensions();
  words.push_back(broadcast.tensor);
  words.push_back(broadcast.levels);
  AppendDivision(TakeLast(dimensions, /*repeated=*/true), words);
  AppendDivision(TakeLast(dimensions, /*repeated=*/false), words);
}

}  // namespace

std::vector<uint64_t> BroadcastLevels(const Broadcast& shape) {
  absl::Span<const Broadcast::Dimension> dimensions = shape.dimensions();
  TakeLast(dimensions, /*repeated=*/true);
  TakeLast(dimensions, /*repeated=*/false);
  // Dimensions alternate, and one that repeats everything says nothing.
  std::vector<uint64_t> words = {dimensions.size() / 2};
  while (dimensions.size() > 1) {
    AppendDivision(TakeLast(dimensions, /*repeated=*/true), words);
    AppendDivision(TakeLast(dimensions, /*repeated=*/false), words);
  }
  if (words.size() == 1) words.clear();
  return words;
}

namespace {

void AppendRow(const LaunchLayout& layout, KernelEntry entry,
               const LaunchSegment& segment, std::vector<uint64_t>& words) {
  const size_t begin = words.size();
  const auto append = [&](absl::Span<const DeviceAddress> addresses,
                          int count) {
    // kFillTable has none to name.
    assert(entry == KernelEntry::kFillTable ||
           addresses.size() == static_cast<size_t>(count));
    words.insert(words.end(), addresses.begin(), addresses.end());
    words.resize(words.size() + count - addresses.size());
  };
  words.push_back(entry == KernelEntry::kFillTable ? kTableEntries
                                                   : segment.num_elements);
  const bool has_tensors = entry != KernelEntry::kFillTable;
  append(has_tensors ? segment.inputs : absl::Span<const DeviceAddress>(),
         layout.num_inputs());
  append(has_tensors ? segment.outputs : absl::Span<const DeviceAddress>(),
         layout.num_outputs());
  if (layout.has_table()) words.push_back(segment.table);
  if (layout.has_tile_sums()) {
    words.push_back(segment.tile_sums);
    words.push_back(segment.sums);
  }
  if (layout.has_rows()) {
    words.push_back(segment.row_size);
    words.push_back(segment.row_stride);
  }
  if (layout.has_scratch()) words.push_back(segment.scratch);
  assert(segment.broadcasts.size() ==
         static_cast<size_t>(layout.num_broadcasts()));
  if (layout.num_broadcasts() > 0) words.push_back(segment.begin);
  for (const LaunchBroadcast& broadcast : segment.broadcasts) {
    AppendBroadcast(broadcast, words);
  }
  assert(segment.parameters.size() ==
         static_cast<size_t>(layout.num_parameters()));
  for (const double parameter : segment.parameters) {
    words.push_back(__builtin_bit_cast(uint64_t, parameter));
  }
  words.insert(words.end(), segment.draws.begin(), segment.draws.end());
  assert(words.size() - begin == static_cast<size_t>(layout.row_words()));
  (void)begin;
}

int64_t TilesOf(const LaunchLayout& layout, KernelEntry entry,
                const LaunchSegment& segment) {
  const int64_t num_rows = segment.num_elements / segment.row_size;
  switch (entry) {
    case KernelEntry::kFillTable:
      return layout.NumTiles(entry, kTableEntries);
    case KernelEntry::kRowsOfFew:
    case KernelEntry::kRowsOfSome:
    case KernelEntry::kRows: {
      const int64_t at_once =
          layout.threads(entry) / LaunchLayout::ThreadsOfRow(entry);
      return (num_rows + at_once - 1) / at_once;
    }
    case KernelEntry::kRowTiles:
    case KernelEntry::kFinishRows:
      return num_rows * TilesOfRow(segment.row_size);
    default:
      return layout.NumTiles(entry, segment.num_elements);
  }
}

// The shared memory for kept arrays: as much as the rows need that it is
// enough for.
uint32_t RowSharedBytes(const LaunchLayout& layout, KernelEntry entry,
                        absl::Span<const LaunchSegment> segments) {
  int64_t bytes = 0;
  for (const LaunchSegment& segment : segments) {
    const int64_t needed = layout.row_shared_bytes(entry, segment.row_size);
    if (needed <= kMaxRowSharedBytes) bytes = std::max(bytes, needed);
  }
  return static_cast<uint32_t>(bytes);
}

}  // namespace

absl::StatusOr<PackedLaunch> PackLaunch(
    const LaunchLayout& layout, KernelEntry entry,
    absl::Span<const LaunchSegment> segments, const LaunchOptions& options) {
  assert(layout.has_entry(entry));
  assert(layout.num_broadcasts() == 0 || segments.size() == 1);
  PackedLaunch launch;
  launch.entry = entry;
  launch.block = layout.threads(entry);
  LaunchHeader header;
  header.num_segments = static_cast<uint32_t>(segments.size());
  header.flags = options.streaming ? kLaunchStreaming : 0;
  const bool has_table = segments.size() > 1;
  for (const LaunchSegment& segment : segments) {
    if (has_table) launch.segment_table.push_back(header.num_tiles);
    header.num_tiles += TilesOf(layout, entry, segment);
  }
  if (entry == KernelEntry::kFinishSums) {
    launch.grid = static_cast<int64_t>(segments.size()) * layout.num_sums();
  } else if (entry == KernelEntry::kRunShared) {
    header.window = options.window;
    launch.shared_bytes = layout.SharedBytes(options.window);
    launch.grid =
        std::min<int64_t>(header.num_tiles, options.num_multiprocessors);
  } else {
    launch.grid = static_cast<int64_t>(header.num_tiles);
    header.stage = static_cast<uint32_t>(options.stage);
    if (entry == KernelEntry::kRowsOfFew || entry == KernelEntry::kRowsOfSome ||
        entry == KernelEntry::kRows) {
      header.shared_bytes = RowSharedBytes(layout, entry, segments);
      launch.shared_bytes = header.shared_bytes;
    }
  }
  constexpr int64_t kMaxGrid = std::numeric_limits<int32_t>::max();
  if (launch.grid > kMaxGrid) {
    return absl::InvalidArgumentError(
        absl::StrCat("a launch of ", launch.grid, " blocks, limit ", kMaxGrid));
  }

  constexpr size_t kHeaderWords = sizeof(LaunchHeader) / sizeof(uint64_t);
  launch.argument.resize(kHeaderWords);
  __builtin_memcpy(launch.argument.data(), &header, sizeof(header));
  std::vector<uint64_t>& rows =
      has_table ? launch.segment_table : launch.argument;
  for (const LaunchSegment& segment : segments) {
    AppendRow(layout, entry, segment, rows);
  }
  // The argument has its full size whether or not a row is in it.
  launch.argument.resize(kHeaderWords + layout.row_words());
  return launch;
}

absl::StatusOr<std::vector<PackedLaunch>> PackRows(
    const LaunchLayout& layout, absl::Span<const LaunchSegment> segments) {
  std::vector<PackedLaunch> launches;
  const auto add = [&](KernelEntry entry,
                       absl::Span<const LaunchSegment> of_launch, int stage) {
    ACTSERVE_ASSIGN_OR_RETURN(
        launches.emplace_back(),
        PackLaunch(layout, entry, of_launch, {.stage = stage}));
    return absl::OkStatus();
  };
  for (const KernelEntry entry :
       {KernelEntry::kRowsOfFew, KernelEntry::kRowsOfSome, KernelEntry::kRows,
        KernelEntry::kRowTiles}) {
    std::vector<LaunchSegment> of_entry;
    for (const LaunchSegment& segment : segments) {
      if (layout.RowEntry(segment.row_size, segment.row_stride) == entry) {
        of_entry.push_back(segment);
      }
    }
    if (of_entry.empty()) continue;
    if (entry != KernelEntry::kRowTiles) {
      ACTSERVE_RETURN_IF_ERROR(add(entry, of_entry, 0));
      continue;
    }
    for (int stage = 0; stage < layout.num_stages(); ++stage) {
      ACTSERVE_RETURN_IF_ERROR(add(entry, of_entry, stage));
      if (stage + 1 == layout.num_stages()) continue;
      ACTSERVE_RETURN_IF_ERROR(add(KernelEntry::kFinishRows, of_entry, stage));
    }
  }
  if (layout.has_tile_sums()) {
    ACTSERVE_RETURN_IF_ERROR(add(KernelEntry::kSumTerms, segments, 0));
  }
  return launches;
}

int NumRowLaunches(const LaunchLayout& layout, int64_t row_size,
                   int64_t row_stride) {
  const bool is_long =
      layout.RowEntry(row_size, row_stride) == KernelEntry::kRowTiles;
  return (is_long ? 2 * layout.num_stages() - 1 : 1) +
         (layout.has_tile_sums() ? 1 : 0);
}

}  // namespace actserve
