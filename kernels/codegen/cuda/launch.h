// How a generated CUDA program is launched: its entries, its one argument, and
// how work is cut into tiles. The text that emit.h prints reads exactly this.
//
// One launch serves many segments: requests of any shapes and parameters of
// one program. A segment is a row of 64-bit words (SegmentRow); a block finds
// its segment by binary search over the segments' first tiles. The row of a
// launch of one segment travels in the kernel's argument, so that nothing is
// copied for it; more rows are a table in device memory.
//
// The entries of a program, by its rule and outputs:
//
//   kDirect, nothing summed  kRun
//   kDirect, summed outputs  kRun, then kFinishSums on the same segments
//   kRoundOnce16,            kFillTable once per parameter values, then
//   kDerivative16            kRun (table read from global memory, for small
//                            work) or kRunShared (from shared memory, for
//                            large)
//
// A program that reads rows has other entries. PackRows() chooses among them,
// by the size of a segment's rows and whether they are interleaved:
//
//   kRowsOfFew, kRowsOfSome, kRows  a row in one block, all stages
//                                   (row_stages.h), by 16, 32 or 128 threads
//   kRowTiles, kFinishRows          longer rows, a stage at a time: a block for
//                                   each tile, then one for each row
//   kSumTerms                       then tile sums, for kFinishSums, if outputs
//                                   are summed
//
// A program with tensors that broadcast has the entries of others but those of
// tile sums. Its launches are of one segment. kRun or the entries for rows
// leave the terms of all sums in LaunchSegment::scratch, and PackSums()
// (sum_terms.h) makes sums of them: kSumRuns, kSumRows and kFoldSums, whose
// argument is another.
//
// Results are bitwise the same whatever the segments, tiles or entry: sums of
// rows, too, follow summation.h.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_LAUNCH_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_LAUNCH_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/graph/broadcast.h"
#include "kernels/graph/lowered_program.h"
#include "kernels/graph/summation.h"

namespace actserve {

// A kernel of a generated text.
enum class KernelEntry {
  kRun,
  kFinishSums,
  kFillTable,
  kRunShared,
  kRowsOfFew,
  kRowsOfSome,
  kRows,
  kRowTiles,
  kFinishRows,
  kSumTerms,
  kSumRuns,
  kSumRows,
  kFoldSums,
};

inline constexpr KernelEntry kKernelEntries[] = {
    KernelEntry::kRun,       KernelEntry::kFinishSums, KernelEntry::kFillTable,
    KernelEntry::kRunShared, KernelEntry::kRowsOfFew,  KernelEntry::kRowsOfSome,
    KernelEntry::kRows,      KernelEntry::kRowTiles,   KernelEntry::kFinishRows,
    KernelEntry::kSumTerms,  KernelEntry::kSumRuns,    KernelEntry::kSumRows,
    KernelEntry::kFoldSums};
inline constexpr int kNumKernelEntries = 13;

// The `extern "C"` name of the entry in every generated text.
constexpr const char* KernelEntryName(KernelEntry entry) {
  switch (entry) {
    case KernelEntry::kRun:
      return "actserve_run";
    case KernelEntry::kFinishSums:
      return "actserve_finish_sums";
    case KernelEntry::kFillTable:
      return "actserve_fill_table";
    case KernelEntry::kRunShared:
      return "actserve_run_shared";
    case KernelEntry::kRowsOfFew:
      return "actserve_rows_of_few";
    case KernelEntry::kRowsOfSome:
      return "actserve_rows_of_some";
    case KernelEntry::kRows:
      return "actserve_rows";
    case KernelEntry::kRowTiles:
      return "actserve_row_tiles";
    case KernelEntry::kFinishRows:
      return "actserve_finish_rows";
    case KernelEntry::kSumTerms:
      return "actserve_sum_terms";
    case KernelEntry::kSumRuns:
      return "actserve_sum_runs";
    case KernelEntry::kSumRows:
      return "actserve_sum_rows";
    case KernelEntry::kFoldSums:
      return "actserve_fold_sums";
  }
  return "";
}

// A program is compiled in parts, each a text of its own (emit.h). Looking up
// in a table is the same for all programs of one storage type, rule and number
// of outputs and parameters, so it is compiled once for all of them; and so are
// sums of the terms of one type.
enum class CudaPart {
  // The program's own code: kFillTable if it has a table, else all entries.
  kProgram,
  kLookUp,        // kRun of programs with a table
  kSharedLookUp,  // kRunShared
  kTermSums,      // kSumRuns, kSumRows, kFoldSums
};

// Elements of one launch from which kRunShared is expected to beat kRun: the
// table then costs each multiprocessor less than it gains. Estimated from the
// size of an H100's L2 cache, not measured.
inline constexpr int64_t kSharedTableMinElements = int64_t{1} << 24;

// Rows of more elements are computed by several blocks.
inline constexpr int64_t kMaxRowOfBlock = int64_t{4} * kSumTileElements;

// The longest rows of programs that sort, scan or shift them, which one block
// does: more would take seconds, which to the device's watchdog is a hung
// kernel. Estimated, not measured.
inline constexpr int64_t kMaxMovedRow = int64_t{1} << 22;

// Shared memory in which a block may keep arrays of its rows. What does not fit
// is kept in LaunchSegment::scratch.
inline constexpr int64_t kMaxRowSharedBytes = int64_t{40} << 10;

// The part of a table that kRunShared keeps in shared memory: the patterns of
// both signs whose magnitude bits (pattern & 0x7fff) are in
// [begin, begin + size). The others are read from global memory.
struct TableWindow {
  uint32_t begin = 0;
  uint32_t size = 0;
};

// Everything that decides how one program is launched. Computed from the
// program; equal for equal programs.
class LaunchLayout {
 public:
  // How a thread of kRun processes its elements.
  enum class Body {
    // Several 16-byte vectors per tensor in flight, all copies of the
    // program's arithmetic unrolled.
    kUnrolled,
    // One 16-byte vector per tensor at a time, for programs that need many
    // registers.
    kVector,
    // One element at a time: for programs so heavy that copies of them would
    // take the compiler seconds, and memory time does not show; for random
    // numbers; and for many tensors that broadcast.
    kScalar,
    // One element a lane of the tree of summation.h at a time.
    kSummed,
  };

  explicit LaunchLayout(const LoweredProgram& program);

  int num_inputs() const { return num_inputs_; }    // tensors in
  int num_outputs() const { return num_outputs_; }  // tensors out, not summed
  int num_sums() const { return num_sums_; }        // summed outputs
  // Inputs that broadcast; they are not among num_inputs().
  int num_broadcasts() const { return num_broadcasts_; }
  // True if tiles of elements are summed where they are computed, or from the
  // terms of rows; else terms are kept for PackSums().
  bool has_tile_sums() const { return num_sums_ > 0 && num_broadcasts_ == 0; }
  int num_parameters() const { return num_parameters_; }
  // Words of a row for draws: 0 without, else as many as DrawWords() has.
  int num_draw_words() const { return num_draw_words_; }
  bool has_rows() const { return num_stages_ > 0; }
  int num_stages() const { return num_stages_; }  // of row_stages.h
  // The longest rows that the program takes.
  int64_t max_row_size() const { return max_row_size_; }
  bool has_table() const { return table_entry_bytes_ != 0; }
  Body body() const { return body_; }
  // True if the arithmetic costs far more than the memory: such programs may
  // use any number of registers.
  bool is_heavy() const { return is_heavy_; }
  // Elements in a 16-byte vector, and vectors per tensor that a thread has in
  // flight in an unrolled tile.
  int vector_elements() const { return vector_elements_; }
  int vectors_in_flight(KernelEntry entry) const;
  // Elements that a thread of kSummed has in flight.
  int rows_in_flight() const { return rows_in_flight_; }

  bool has_entry(KernelEntry entry) const;
  std::vector<CudaPart> parts() const;
  // The part that has the entry.
  CudaPart part(KernelEntry entry) const;
  int threads(KernelEntry entry) const;
  // The threads that share a row in kRowsOfFew, kRowsOfSome and kRows.
  static int ThreadsOfRow(KernelEntry entry);
  // Elements of a row that a thread has under way.
  int row_copies(KernelEntry entry) const;
  // The entry for rows of a segment; kRowTiles for long ones.
  KernelEntry RowEntry(int64_t row_size, int64_t row_stride) const;

  // The most registers of a thread, by which the compiler is held to so many
  // blocks on a multiprocessor at once. Heavy programs are not held to it.
  int max_registers(KernelEntry entry) const;

  // Elements of one tile; unused for kFinishSums and for rows.
  int64_t tile_elements(KernelEntry entry) const;
  int64_t NumTiles(KernelEntry entry, int64_t num_elements) const;

  // Words of a SegmentRow, in this order: num_elements; input addresses;
  // output addresses; the table's address if has_table(); the addresses of
  // tile sums and of sums if has_tile_sums(); size and stride of rows if
  // has_rows(); the scratch's address if there are rows, or terms for
  // PackSums(); if num_broadcasts() > 0 the place of the first element, and
  // kBroadcastWords for each tensor that broadcasts; parameters as float64
  // bits; the words for draws.
  int row_words() const;

  // Bytes of a table: for each output of the graph, kTableEntries entries of
  // 2 bytes (kRoundOnce16: the result) or 4 (kDerivative16: the derivative).
  int table_entry_bytes() const { return table_entry_bytes_; }
  int64_t table_bytes() const;
  // The largest useful window that fits into `max_shared_bytes`, the device's
  // limit for a block, and the bytes it takes.
  TableWindow SharedWindow(int64_t max_shared_bytes) const;
  int64_t SharedBytes(TableWindow window) const;

  // Bytes of the tile sums of a segment: num_sums() arrays, one after the
  // other, of one float64 a tile. kFinishSums overwrites them.
  int64_t tile_sums_bytes(int64_t num_elements) const;

  bool has_scratch() const {
    return has_rows() || (num_sums_ > 0 && num_broadcasts_ > 0);
  }
  // Bytes of LaunchSegment::scratch. With rows it is laid out in text/rows.h;
  // else it is the terms for PackSums(), if there are any.
  int64_t scratch_bytes(int64_t num_elements, int64_t row_size) const;
  // Where in the scratch the terms of sum `sum` begin: a number of the compute
  // type for each element.
  int64_t terms_offset_bytes(int sum, int64_t num_elements,
                             int64_t row_size) const;
  // Bytes of shared memory that the kept arrays of a block's rows take.
  int64_t row_shared_bytes(KernelEntry entry, int64_t row_size) const;

 private:
  DType storage_;
  int num_inputs_ = 0;
  int num_outputs_ = 0;
  int num_sums_ = 0;
  int num_broadcasts_ = 0;
  int num_parameters_ = 0;
  int num_draw_words_ = 0;
  int table_entry_bytes_ = 0;
  int vector_elements_ = 1;
  int vectors_in_flight_ = 1;
  int rows_in_flight_ = 1;
  bool is_heavy_ = false;
  Body body_ = Body::kUnrolled;
  int num_stages_ = 0;
  int64_t max_row_size_ = std::numeric_limits<int64_t>::max();
  int num_row_numbers_ = 0;
  int num_row_arrays_ = 0;
  int max_row_reductions_ = 0;
  bool has_short_rows_ = false;
  int row_copies_ = 1;
  int64_t compute_bytes_ = 0;
};

// An address in device memory.
using DeviceAddress = uint64_t;

// A division by a number from 1 on, as a multiplication by `factor`: of x below
// 2^63 the quotient is 2 x factor / 2^64 >> shift, all rounded down.
struct Division {
  explicit Division(uint64_t divisor);
  uint64_t divisor;
  uint64_t factor;
  uint64_t shift;
};

// A tensor that broadcasts. Its shape is cut, from the inside, into runs that
// read one element, a width of them that read neighbours, and levels outside of
// these, each of a repeated and a kept dimension.
struct LaunchBroadcast {
  DeviceAddress tensor = 0;
  // The words of BroadcastLevels(); 0 if there are none.
  DeviceAddress levels = 0;
  Broadcast shape;
};
// Both addresses, and the divisions by the run and by the width.
inline constexpr int kBroadcastWords = 8;

// The number of levels, and two divisions for each; nothing if there are none,
// which is so of shapes with one kept dimension.
std::vector<uint64_t> BroadcastLevels(const Broadcast& shape);

// One request's share of a launch. Addresses may have any alignment that the
// element type has; 16 bytes are fast. Tensors must not overlap.
struct LaunchSegment {
  // kFillTable ignores it, the inputs and the outputs.
  int64_t num_elements = 0;
  absl::InlinedVector<DeviceAddress, 4> inputs;
  absl::InlinedVector<DeviceAddress, 4> outputs;
  // Aligned to 16 bytes. Written by kFillTable, read by the other entries;
  // kRunShared wants the same in all segments of a launch.
  DeviceAddress table = 0;
  // Aligned to 8 bytes. kRun writes `tile_sums` (tile_sums_bytes()),
  // kFinishSums reads them and writes num_sums() float64 to `sums`.
  DeviceAddress tile_sums = 0;
  DeviceAddress sums = 0;
  // Of programs that read rows: element k of row r is element
  // r / stride * size * stride + k * stride + r % stride.
  int64_t row_size = 1;
  int64_t row_stride = 1;
  // Aligned to 8 bytes, scratch_bytes().
  DeviceAddress scratch = 0;
  // The place of the first element in the shapes of `broadcasts`.
  int64_t begin = 0;
  std::vector<LaunchBroadcast> broadcasts;
  absl::InlinedVector<double, 4> parameters;
  // DrawWords() of the segment's first element.
  std::vector<uint64_t> draws;
};

// The head of the kernel's argument; a SegmentRow follows it, read only if
// `segments` is 0. The generated text declares the same struct.
struct LaunchHeader {
  // Device address of the table of segments: `num_segments` first tiles
  // (tiles of the segments before), then as many rows. 0: the row behind.
  DeviceAddress segments = 0;
  uint32_t num_segments = 0;
  uint32_t flags = 0;
  uint64_t num_tiles = 0;
  // kRunShared only.
  TableWindow window;
  // kRowTiles and kFinishRows.
  uint32_t stage = 0;
  // kRowsOfFew, kRowsOfSome, kRows: of the launch.
  uint32_t shared_bytes = 0;
};
static_assert(sizeof(LaunchHeader) == 40);

// LaunchHeader::flags: tensors are read and written once and exceed the L2
// cache; do not keep them in it.
inline constexpr uint32_t kLaunchStreaming = 1;

// Choices for one launch.
struct LaunchOptions {
  bool streaming = false;
  // kRunShared: blocks that run at once, one a multiprocessor, and the window.
  int num_multiprocessors = 1;
  TableWindow window = {};
  int stage = 0;  // kRowTiles, kFinishRows
};

// The values that the driver needs to launch a kernel.
struct PackedLaunch {
  KernelEntry entry = KernelEntry::kRun;
  int64_t grid = 0;  // blocks; 0: nothing to do, do not launch
  int block = 0;     // threads in each
  // Dynamic shared memory; more than 48 KiB must be allowed for the function
  // first (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES).
  int64_t shared_bytes = 0;
  // The kernel's one parameter, by value: LaunchHeader and a row.
  std::vector<uint64_t> argument;
  // The table of segments, empty if the argument says all. Copy it to device
  // memory (8-byte aligned), then SetSegmentTable().
  std::vector<uint64_t> segment_table;

  void SetSegmentTable(DeviceAddress address) { argument[0] = address; }
};

// Packs a launch of `entry`, which the layout has, and which is none of
// kTermSums. Each segment must have as
// many inputs, outputs and parameters as the layout (but see LaunchSegment).
//   InvalidArgument  more tiles than a grid has blocks (2^31 - 1): split it
absl::StatusOr<PackedLaunch> PackLaunch(
    const LaunchLayout& layout, KernelEntry entry,
    absl::Span<const LaunchSegment> segments, const LaunchOptions& options);

// Packs the launches that compute segments of a program that reads rows, one
// after the other: all but kFinishSums.
//   InvalidArgument  as PackLaunch()
absl::StatusOr<std::vector<PackedLaunch>> PackRows(
    const LaunchLayout& layout, absl::Span<const LaunchSegment> segments);
// The launches of PackRows() that a segment with such rows takes part in.
int NumRowLaunches(const LaunchLayout& layout, int64_t row_size,
                   int64_t row_stride);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_LAUNCH_H_
