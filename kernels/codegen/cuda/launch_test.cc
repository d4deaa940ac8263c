#include "kernels/codegen/cuda/launch.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct ProgramCase {
  const char* name;
  DType storage = DType::kFloat32;
  LoweredProgram::Rule rule = LoweredProgram::Rule::kDirect;
  int num_inputs = 1;
  int num_outputs = 1;
  int num_sums = 0;
  int num_parameters = 0;
  int num_exps = 0;  // for weight
};

LoweredProgram MakeProgram(const ProgramCase& test) {
  LoweredProgram program;
  program.storage = test.storage;
  program.rule = test.rule;
  Graph& graph = program.graph;
  graph.inputs.resize(test.num_inputs);
  graph.parameters.resize(test.num_parameters);
  NodeId node = graph.Input(0);
  for (int i = 0; i < test.num_exps; ++i) node = graph.Add(Op::kExp, node);
  for (int i = 0; i < test.num_outputs; ++i) {
    graph.outputs.push_back({"y", node});
  }
  for (int i = 0; i < test.num_sums; ++i) {
    graph.outputs.push_back({"s", node, /*summed=*/true});
  }
  return program;
}

LaunchLayout MakeLayout(const ProgramCase& test) {
  return LaunchLayout(MakeProgram(test));
}

constexpr auto kRoundOnce16 = LoweredProgram::Rule::kRoundOnce16;
constexpr auto kDerivative16 = LoweredProgram::Rule::kDerivative16;

LaunchHeader HeaderOf(const PackedLaunch& launch) {
  LaunchHeader header;
  std::memcpy(static_cast<void*>(&header), launch.argument.data(),
              sizeof(header));
  return header;
}

std::vector<uint64_t> RowOf(const PackedLaunch& launch) {
  return {launch.argument.begin() + sizeof(LaunchHeader) / 8,
          launch.argument.end()};
}

TEST(LaunchLayout, ChoosesEntriesByRuleAndSums) {
  struct Case {
    ProgramCase program;
    bool finish_sums;
    bool fill_table;
  };
  for (const Case& test : {
           Case{{"plain"}, false, false},
           Case{{.name = "summed", .num_sums = 2}, true, false},
           Case{{"once", DType::kFloat16, kRoundOnce16}, false, true},
           Case{{"derivative", DType::kBFloat16, kDerivative16}, false, true},
       }) {
    SCOPED_TRACE(test.program.name);
    const LaunchLayout layout = MakeLayout(test.program);

    EXPECT_TRUE(layout.has_entry(KernelEntry::kRun));
    EXPECT_EQ(layout.has_entry(KernelEntry::kFinishSums), test.finish_sums);
    EXPECT_EQ(layout.has_entry(KernelEntry::kFillTable), test.fill_table);
    EXPECT_EQ(layout.has_entry(KernelEntry::kRunShared), test.fill_table);
  }
}

TEST(LaunchLayout, CutsTiles) {
  struct Case {
    ProgramCase program;
    KernelEntry entry;
    int threads;
    int64_t tile_elements;
  };
  for (const Case& test : {
           Case{{"float32"}, KernelEntry::kRun, 256, 4096},
           Case{{"float64", DType::kFloat64}, KernelEntry::kRun, 256, 2048},
           Case{{.name = "two inputs", .num_inputs = 2},
                KernelEntry::kRun,
                256,
                2048},
           Case{{.name = "five inputs", .num_inputs = 5},
                KernelEntry::kRun,
                256,
                1024},
           Case{{.name = "summed", .num_sums = 1},
                KernelEntry::kRun,
                kSumLanes,
                kSumTileElements},
           Case{{"table", DType::kFloat16, kRoundOnce16},
                KernelEntry::kRun,
                256,
                4096},
           Case{{"shared", DType::kFloat16, kRoundOnce16},
                KernelEntry::kRunShared,
                1024,
                32768},
           Case{{"fill", DType::kFloat16, kRoundOnce16},
                KernelEntry::kFillTable,
                256,
                256},
       }) {
    SCOPED_TRACE(test.program.name);
    const LaunchLayout layout = MakeLayout(test.program);

    EXPECT_EQ(layout.threads(test.entry), test.threads);
    EXPECT_EQ(layout.tile_elements(test.entry), test.tile_elements);
    EXPECT_EQ(layout.NumTiles(test.entry, 0), 0);
    EXPECT_EQ(layout.NumTiles(test.entry, 1), 1);
    EXPECT_EQ(layout.NumTiles(test.entry, test.tile_elements), 1);
    EXPECT_EQ(layout.NumTiles(test.entry, test.tile_elements + 1), 2);
  }
}

TEST(LaunchLayout, UnrollsLessTheHeavierTheProgram) {
  struct Case {
    int num_exps;
    LaunchLayout::Body want;
  };
  for (const Case& test : {Case{1, LaunchLayout::Body::kUnrolled},
                           {20, LaunchLayout::Body::kVector},
                           {100, LaunchLayout::Body::kScalar}}) {
    EXPECT_EQ(MakeLayout({.name = "", .num_exps = test.num_exps}).body(),
              test.want);
  }
}

TEST(LaunchLayout, FitsTheTableIntoSharedMemory) {
  struct Case {
    const char* name;
    DType storage;
    LoweredProgram::Rule rule;
    int num_outputs;
    int64_t max_shared_bytes;
    uint32_t begin;
    uint32_t size;
  };
  // Most that a block may have: 227 KiB on sm_90 and sm_100, 163 on sm_80, 99
  // on sm_86, sm_89 and sm_120, 64 on sm_75.
  for (const Case& test : {
           Case{"all", DType::kFloat16, kRoundOnce16, 1, 227 << 10, 0, 0x8000},
           Case{"all, sm_80", DType::kBFloat16, kRoundOnce16, 1, 163 << 10, 0,
                0x8000},
           Case{"below 2^14", DType::kFloat16, kDerivative16, 1, 227 << 10, 0,
                0x7180},
           Case{"below 2^5", DType::kFloat16, kDerivative16, 1, 163 << 10, 0,
                0x5180},
           Case{"2^-75 to 2^21", DType::kBFloat16, kDerivative16, 1, 99 << 10,
                0x4a00 - 0x3180, 0x3180},
           Case{"two outputs", DType::kFloat16, kRoundOnce16, 2, 64 << 10,
                0x5000 - 0x2000, 0x2000},
       }) {
    SCOPED_TRACE(test.name);
    const LaunchLayout layout = MakeLayout({.name = "",
                                            .storage = test.storage,
                                            .rule = test.rule,
                                            .num_outputs = test.num_outputs});

    const TableWindow window = layout.SharedWindow(test.max_shared_bytes);

    EXPECT_EQ(window.begin, test.begin);
    EXPECT_EQ(window.size, test.size);
    EXPECT_LE(layout.SharedBytes(window), test.max_shared_bytes);
  }
}

TEST(PackLaunch, PutsOneSegmentIntoTheArgument) {
  const LaunchLayout layout = MakeLayout({.name = "",
                                          .num_inputs = 2,
                                          .num_outputs = 1,
                                          .num_sums = 1,
                                          .num_parameters = 1});
  LaunchSegment segment;
  segment.num_elements = 10000;
  segment.inputs = {0x100, 0x200};
  segment.outputs = {0x300};
  segment.tile_sums = 0x400;
  segment.sums = 0x500;
  segment.parameters = {-2.0};

  const auto launch =
      PackLaunch(layout, KernelEntry::kRun, {segment}, {.streaming = true});

  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->grid, 3);
  EXPECT_EQ(launch->block, kSumLanes);
  EXPECT_THAT(launch->segment_table, IsEmpty());
  const LaunchHeader header = HeaderOf(*launch);
  EXPECT_EQ(header.segments, 0);
  EXPECT_EQ(header.num_segments, 1);
  EXPECT_EQ(header.num_tiles, 3);
  EXPECT_EQ(header.flags, kLaunchStreaming);
  EXPECT_THAT(RowOf(*launch), ElementsAre(10000, 0x100, 0x200, 0x300, 0x400,
                                          0x500, 0xc000000000000000));
}

TEST(PackLaunch, PutsSeveralSegmentsIntoATable) {
  const LaunchLayout layout = MakeLayout({""});
  LaunchSegment segments[4];
  const int64_t sizes[] = {5000, 0, 4096, 1};
  const DeviceAddress addresses[] = {0x10, 0x20, 0x30, 0x40, 0x50};
  for (int s = 0; s < 4; ++s) {
    segments[s].num_elements = sizes[s];
    segments[s].inputs = {addresses[s]};
    segments[s].outputs = {addresses[s + 1]};
  }

  auto launch = PackLaunch(layout, KernelEntry::kRun, segments, {});
  ASSERT_TRUE(launch.ok()) << launch.status();
  launch->SetSegmentTable(0x7000);

  EXPECT_EQ(launch->grid, 4);
  EXPECT_EQ(HeaderOf(*launch).segments, 0x7000);
  EXPECT_EQ(HeaderOf(*launch).num_segments, 4);
  EXPECT_EQ(launch->argument.size(),
            sizeof(LaunchHeader) / 8 + layout.row_words());
  EXPECT_THAT(launch->segment_table, ElementsAre(0, 2, 2, 3,  // first tiles
                                                 5000, 0x10, 0x20,  // rows
                                                 0, 0x20, 0x30,     //
                                                 4096, 0x30, 0x40,  //
                                                 1, 0x40, 0x50));
}

TEST(PackLaunch, FillsATableWithoutTensors) {
  const LaunchLayout layout = MakeLayout({.name = "",
                                          .storage = DType::kFloat16,
                                          .rule = kDerivative16,
                                          .num_inputs = 1,
                                          .num_parameters = 1});
  LaunchSegment segment;
  segment.table = 0x1000;
  segment.parameters = {1.0};

  const auto launch =
      PackLaunch(layout, KernelEntry::kFillTable, {segment}, {});

  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->grid, 256);
  // x and the upstream gradient in, one tensor out.
  EXPECT_THAT(RowOf(*launch),
              ElementsAre(kTableEntries, 0, 0, 0, 0x1000, 0x3ff0000000000000));
}

TEST(PackLaunch, RunsOneSharedTableAMultiprocessor) {
  const LaunchLayout layout = MakeLayout(
      {.name = "", .storage = DType::kFloat16, .rule = kRoundOnce16});
  LaunchSegment segment;
  segment.num_elements = int64_t{1} << 30;
  segment.inputs = {0x10};
  segment.outputs = {0x20};
  const TableWindow window = layout.SharedWindow(227 << 10);

  const auto launch =
      PackLaunch(layout, KernelEntry::kRunShared, {segment},
                 {.num_multiprocessors = 132, .window = window});

  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->grid, 132);
  EXPECT_EQ(launch->block, 1024);
  EXPECT_EQ(launch->shared_bytes, 128 << 10);
  EXPECT_EQ(HeaderOf(*launch).window.size, window.size);
  EXPECT_EQ(HeaderOf(*launch).num_tiles, (int64_t{1} << 30) / 32768);
}

TEST(PackLaunch, FinishesEachSumInABlock) {
  const LaunchLayout layout = MakeLayout({.name = "", .num_sums = 3});
  LaunchSegment segments[2];
  for (LaunchSegment& segment : segments) {
    segment.inputs = segment.outputs = {0x10};
  }

  const auto launch =
      PackLaunch(layout, KernelEntry::kFinishSums, segments, {});

  ASSERT_TRUE(launch.ok()) << launch.status();
  EXPECT_EQ(launch->grid, 6);
}

TEST(PackLaunch, RefusesMoreBlocksThanAGridHas) {
  const LaunchLayout layout = MakeLayout({""});
  LaunchSegment segment;
  segment.num_elements = int64_t{1} << 43;
  segment.inputs = segment.outputs = {0x10};

  EXPECT_EQ(
      PackLaunch(layout, KernelEntry::kRun, {segment}, {}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

// exp(x - rowmax(x)) over its sum, and the sum of it all if `summed`: three
// stages, and an array that is kept.
LoweredProgram RowProgram(bool summed) {
  LoweredProgram program;
  Graph& graph = program.graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  const NodeId e =
      graph.Add(Op::kExp, graph.Add(Op::kSub, x, graph.Add(Op::kRowMax, x)));
  const NodeId y = graph.Add(Op::kDiv, e, graph.Add(Op::kRowSum, e));
  graph.outputs = {{"y", y}};
  if (summed) graph.outputs.push_back({"s", y, /*summed=*/true});
  return program;
}

LaunchSegment RowSegment(int64_t num_elements, int64_t size, int64_t stride) {
  LaunchSegment segment;
  segment.num_elements = num_elements;
  segment.inputs = {0x100};
  segment.outputs = {0x200};
  segment.row_size = size;
  segment.row_stride = stride;
  segment.scratch = 0x300;
  return segment;
}

TEST(LaunchLayout, ChoosesTheEntryOfRowsByTheirSize) {
  struct Case {
    int64_t size;
    int64_t stride;
    KernelEntry entry;
  };
  const LaunchLayout layout(RowProgram(false));
  for (const Case& test : {Case{1, 1, KernelEntry::kRowsOfFew},
                           {128, 1, KernelEntry::kRowsOfFew},
                           {129, 1, KernelEntry::kRowsOfSome},
                           {1024, 1, KernelEntry::kRowsOfSome},
                           {1025, 1, KernelEntry::kRows},
                           {16384, 1, KernelEntry::kRows},
                           {16385, 1, KernelEntry::kRowTiles},
                           {1025, 2, KernelEntry::kRowsOfFew},
                           {16385, 2, KernelEntry::kRowTiles}}) {
    EXPECT_EQ(layout.RowEntry(test.size, test.stride), test.entry)
        << test.size << ", " << test.stride << " apart";
  }
}

TEST(LaunchLayout, HasRoomForWhatStagesOfRowsKeep) {
  const LaunchLayout plain(RowProgram(false));
  const LaunchLayout summed(RowProgram(true));

  EXPECT_EQ(plain.num_stages(), 3);
  // One array, and another of terms.
  EXPECT_EQ(plain.scratch_bytes(1000, 100), 4 * 1000);
  EXPECT_EQ(summed.scratch_bytes(1000, 100), 4 * 2 * 1000);
  // Of long rows also a result for each tile, and three numbers for each row.
  EXPECT_EQ(plain.scratch_bytes(40'000, 20'000),
            4 * 40'000 + 8 * 2 * 5 + 4 * 2 * 3);
  EXPECT_EQ(plain.row_shared_bytes(KernelEntry::kRowsOfFew, 100), 4 * 8 * 100);
}

TEST(PackRows, LaunchesEachKindOfRowsThenSums) {
  const LaunchLayout layout(RowProgram(true));
  const LaunchSegment segments[] = {
      RowSegment(1000, 10, 1), RowSegment(60'000, 30'000, 1),
      RowSegment(20'000, 2000, 1), RowSegment(600, 20, 3)};

  const auto launches = PackRows(layout, segments);

  ASSERT_TRUE(launches.ok()) << launches.status();
  std::vector<KernelEntry> entries;
  std::vector<int64_t> grids;
  std::vector<uint32_t> stages;
  for (const PackedLaunch& launch : *launches) {
    entries.push_back(launch.entry);
    grids.push_back(launch.grid);
    stages.push_back(HeaderOf(launch).stage);
  }
  EXPECT_THAT(entries,
              ElementsAre(KernelEntry::kRowsOfFew, KernelEntry::kRows,
                          KernelEntry::kRowTiles, KernelEntry::kFinishRows,
                          KernelEntry::kRowTiles, KernelEntry::kFinishRows,
                          KernelEntry::kRowTiles, KernelEntry::kSumTerms));
  // 100 and 30 rows in eights; 10 rows; 2 rows of 8 tiles; tiles of all.
  EXPECT_THAT(grids,
              ElementsAre(13 + 4, 10, 16, 16, 16, 16, 16, 1 + 15 + 5 + 1));
  EXPECT_THAT(stages, ElementsAre(0, 0, 0, 0, 1, 1, 2, 0));
  // What the longest rows of the launch keep.
  EXPECT_EQ(launches->at(0).shared_bytes, 4 * 8 * 20);
  EXPECT_EQ(launches->at(1).shared_bytes, 4 * 2000);
  EXPECT_EQ(NumRowLaunches(layout, 30'000, 1), 6);
  EXPECT_EQ(NumRowLaunches(layout, 10, 1), 2);
}

TEST(PackRows, KeepsInScratchWhatSharedMemoryHasNoRoomFor) {
  const LaunchLayout layout(RowProgram(false));
  const LaunchSegment segments[] = {RowSegment(11'000, 11'000, 1),
                                    RowSegment(2000, 2000, 1)};

  const auto launches = PackRows(layout, segments);

  ASSERT_TRUE(launches.ok()) << launches.status();
  ASSERT_EQ(launches->size(), 1);
  EXPECT_EQ(launches->at(0).shared_bytes, 4 * 2000);
  EXPECT_EQ(HeaderOf(launches->at(0)).shared_bytes, 4 * 2000);
}

TEST(Division, IsExactForAllNumbersBelowTwoToThe63) {
  constexpr uint64_t kEnd = uint64_t{1} << 63;
  std::mt19937_64 random(1);
  std::vector<uint64_t> numbers = {1, 2, 3, 5, 49, 64, 4097};
  for (int bits = 1; bits <= 62; ++bits) {
    for (const int more : {-1, 0, 1}) {
      numbers.push_back((uint64_t{1} << bits) + more);
    }
    numbers.push_back(1 + random() % (uint64_t{1} << bits));
  }
  for (const uint64_t divisor : numbers) {
    const Division division(divisor);
    std::vector<uint64_t> dividends = {0, kEnd - 1, random() % kEnd};
    for (const uint64_t quotient :
         {uint64_t{1}, (kEnd - 1) / divisor, random() % kEnd / divisor}) {
      dividends.push_back(quotient * divisor);
      dividends.push_back(quotient * divisor - 1);
    }
    for (const uint64_t x : dividends) {
      if (x >= kEnd) continue;  // -1
      const auto high = static_cast<uint64_t>(
          static_cast<unsigned __int128>(2 * x) * division.factor >> 64);

      EXPECT_EQ(high >> division.shift, x / divisor) << x << " / " << divisor;
    }
  }
}

TEST(BroadcastLevels, AreOfShapesWithSeveralKeptDimensions) {
  const auto levels = [](const std::vector<Broadcast::Dimension>& dimensions) {
    return BroadcastLevels(Broadcast(dimensions));
  };
  EXPECT_THAT(levels({{5, true}, {7, false}, {9, true}}), IsEmpty());
  EXPECT_THAT(levels({{5, true}, {7, false}}), IsEmpty());
  EXPECT_THAT(levels({{7, true}}), IsEmpty());

  const std::vector<uint64_t> one =
      levels({{4, true}, {3, false}, {5, true}, {7, false}, {9, true}});
  ASSERT_EQ(one.size(), 7);
  EXPECT_THAT((std::vector{one[0], one[1], one[4]}), ElementsAre(1, 5, 3));
  // The innermost first.
  const std::vector<uint64_t> two =
      levels({{6, false}, {8, true}, {3, false}, {5, true}, {7, false}});
  ASSERT_EQ(two.size(), 13);
  EXPECT_THAT((std::vector{two[0], two[1], two[4], two[7], two[10]}),
              ElementsAre(2, 5, 3, 8, 6));
}

TEST(LaunchLayout, OfBroadcastsKeepsTermsForTheirSums) {
  LoweredProgram program = MakeProgram({.name = "", .num_sums = 2});
  program.graph.inputs.emplace_back();
  program.num_broadcasts = 1;
  const LaunchLayout layout(program);

  EXPECT_EQ(layout.num_inputs(), 1);
  EXPECT_FALSE(layout.has_entry(KernelEntry::kFinishSums));
  EXPECT_TRUE(layout.has_entry(KernelEntry::kSumRuns));
  EXPECT_THAT(layout.parts(),
              ElementsAre(CudaPart::kProgram, CudaPart::kTermSums));
  EXPECT_EQ(layout.part(KernelEntry::kFoldSums), CudaPart::kTermSums);
  // A float32 for each element and sum.
  EXPECT_EQ(layout.scratch_bytes(1000, 1), 8000);
  EXPECT_EQ(layout.terms_offset_bytes(1, 1000, 1), 4000);
  EXPECT_EQ(layout.tile_sums_bytes(1000), 0);
}

}  // namespace
}  // namespace actserve
