#include "kernels/device/cuda/run/chunk.h"

#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device/cuda/run/device_pool.h"
#include "kernels/device/testing/programs.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

using ::actserve::testing::SlopeProgram;

constexpr int64_t kRegionBytes = ChunkCutter::kMinRegionBytes;
// Of float32, what a region has room for, by tiles.
constexpr int64_t kMostElements = kRegionBytes / 4 / 4096 * 4096 - 4096;

std::vector<Chunk> Cut(const std::vector<int64_t>& counts) {
  const LoweredProgram program = SlopeProgram();
  const LaunchLayout layout(program);
  std::vector<WorkItem> items(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    items[i].inputs.resize(1);
    items[i].num_elements = counts[i];
  }
  ChunkCutter cutter(program, layout, kRegionBytes, items);
  std::vector<Chunk> chunks;
  for (;;) {
    chunks.push_back(cutter.Next());
    if (chunks.back().pieces.empty()) break;
  }
  chunks.pop_back();
  return chunks;
}

TEST(ChunkCutter, HasNothingToDoForEmptyItems) {
  EXPECT_TRUE(Cut({}).empty());
  EXPECT_TRUE(Cut({0, 0}).empty());
}

TEST(ChunkCutter, PutsSmallItemsTogether) {
  const std::vector<Chunk> chunks = Cut({100, 0, 1, 5000});

  ASSERT_EQ(chunks.size(), 1);
  ASSERT_EQ(chunks[0].pieces.size(), 3);
  EXPECT_EQ(chunks[0].num_elements, 5101);
  EXPECT_EQ(chunks[0].pieces[1].item, 2);
}

TEST(ChunkCutter, DoesNotCutItemsThatFitAChunk) {
  const std::vector<Chunk> chunks = Cut({20'000, kMostElements, 20'000});

  ASSERT_EQ(chunks.size(), 3);
  EXPECT_EQ(chunks[1].num_elements, kMostElements);
}

TEST(ChunkCutter, CutsLargeItemsAtTiles) {
  const std::vector<Chunk> chunks = Cut({3 * kMostElements + 8000});

  ASSERT_EQ(chunks.size(), 4);
  for (const Chunk& chunk : chunks) {
    ASSERT_EQ(chunk.pieces.size(), 1);
    EXPECT_EQ(chunk.pieces[0].begin % kSumTileElements, 0);
  }
}

TEST(ChunkCutter, CoversEveryElementOnceWithinItsRegions) {
  const std::vector<int64_t> counts = {1,       70'000, 0,  4096,   4097,
                                       200'001, 5,      63, 65'536, 131'072};
  std::map<size_t, int64_t> covered;
  for (const Chunk& chunk : Cut(counts)) {
    EXPECT_LE(chunk.in_bytes, kRegionBytes);
    EXPECT_LE(chunk.out_bytes, kRegionBytes);
    int64_t in_end = 0;
    int64_t out_end = 0;
    for (const Piece& piece : chunk.pieces) {
      EXPECT_EQ(piece.begin, covered[piece.item]);
      covered[piece.item] += piece.num_elements;
      EXPECT_EQ(piece.inputs_offset_bytes % DevicePool::kAlignmentBytes, 0);
      EXPECT_EQ(piece.outputs_offset_bytes % DevicePool::kAlignmentBytes, 0);
      EXPECT_GE(piece.inputs_offset_bytes, in_end);
      EXPECT_GE(piece.outputs_offset_bytes, out_end);
      EXPECT_GE(piece.sums_offset_bytes,
                piece.outputs_offset_bytes + piece.num_elements * 4);
      in_end = piece.inputs_offset_bytes + piece.num_elements * 4;
      out_end = piece.sums_offset_bytes + 8;
    }
    EXPECT_GE(chunk.segments_offset_bytes, in_end);
    EXPECT_GE(chunk.out_bytes, out_end);
  }
  for (size_t i = 0; i < counts.size(); ++i) EXPECT_EQ(covered[i], counts[i]);
}

// x - rowmax(x), and the sum of that if `summed`.
LoweredProgram RowProgram(bool summed) {
  LoweredProgram program;
  Graph& graph = program.graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  const NodeId y = graph.Add(Op::kSub, x, graph.Add(Op::kRowMax, x));
  graph.outputs = {{"y", y}};
  if (summed) graph.outputs.push_back({"s", y, /*summed=*/true});
  return program;
}

std::vector<Chunk> CutRows(const Rows& rows, int64_t num_elements,
                           bool summed) {
  const LoweredProgram program = RowProgram(summed);
  const LaunchLayout layout(program);
  WorkItem item;
  item.inputs.resize(1);
  item.num_elements = num_elements;
  item.rows = rows;
  ChunkCutter cutter(program, layout, kRegionBytes,
                     absl::MakeConstSpan(&item, 1));
  std::vector<Chunk> chunks;
  for (Chunk chunk = cutter.Next(); !chunk.pieces.empty();
       chunk = cutter.Next()) {
    chunks.push_back(chunk);
  }
  return chunks;
}

TEST(ChunkCutter, CutsBetweenRowsAlone) {
  struct Case {
    Rows rows;
    bool summed;
    int64_t unit;
  };
  for (const Case& test :
       {Case{{1000, 1}, false, 1000}, Case{{100, 30}, false, 3000},
        Case{{64, 1}, true, 4096}, Case{{96, 1}, true, 12288}}) {
    int64_t begin = 0;
    for (const Chunk& chunk :
         CutRows(test.rows, 8 * 12288 * 1125, test.summed)) {
      ASSERT_EQ(chunk.pieces.size(), 1);
      EXPECT_FALSE(chunk.is_large);
      EXPECT_LE(chunk.in_bytes, kRegionBytes);
      EXPECT_LE(chunk.out_bytes, kRegionBytes);
      EXPECT_EQ(chunk.pieces[0].begin, begin);
      EXPECT_EQ(begin % test.unit, 0) << test.rows.size;
      begin += chunk.num_elements;
    }
    EXPECT_EQ(begin, 8 * 12288 * 1125);
  }
}

TEST(ChunkCutter, LeavesWholeWhatFitsNowhereAndMayNotBeCut) {
  for (const Rows& rows : {Rows{100'000, 1}, Rows{100, 1000}}) {
    const std::vector<Chunk> chunks =
        CutRows(rows, 3 * rows.size * rows.stride, false);

    ASSERT_EQ(chunks.size(), 1);
    EXPECT_TRUE(chunks[0].is_large);
    EXPECT_EQ(chunks[0].num_elements, 3 * rows.size * rows.stride);
  }
  // Rows and tiles end together nowhere.
  const std::vector<Chunk> summed = CutRows({1001, 1}, 100'100, true);
  ASSERT_EQ(summed.size(), 1);
  EXPECT_TRUE(summed[0].is_large);
}

// slope * x, and the gradient of the slopes if `summed`.
std::vector<Chunk> CutBroadcasts(
    const std::vector<std::vector<Broadcast::Dimension>>& shapes, bool summed) {
  LoweredProgram program;
  Graph& graph = program.graph;
  graph.inputs = {"x", "slope"};
  program.num_broadcasts = 1;
  const NodeId y = graph.Add(Op::kMul, graph.Input(0), graph.Input(1));
  graph.outputs = {{"y", y}};
  if (summed) graph.outputs.push_back({"slope", y, true, 0});
  const LaunchLayout layout(program);
  std::vector<WorkItem> items(shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Broadcast shape(shapes[i]);
    items[i].inputs.resize(1);
    items[i].num_elements = shape.num_read();
    items[i].broadcasts = {{{}, shape}};
  }
  ChunkCutter cutter(program, layout, kRegionBytes, items);
  std::vector<Chunk> chunks;
  for (Chunk chunk = cutter.Next(); !chunk.pieces.empty();
       chunk = cutter.Next()) {
    chunks.push_back(chunk);
  }
  return chunks;
}

TEST(ChunkCutter, GivesItemsWithBroadcastsChunksOfTheirOwn) {
  const std::vector<Chunk> chunks = CutBroadcasts(
      {{{100, true}, {7, false}}, {{0, true}, {7, false}}, {{9, false}}}, true);

  ASSERT_EQ(chunks.size(), 2);
  for (const Chunk& chunk : chunks) {
    const Piece& piece = chunk.pieces[0];
    EXPECT_EQ(chunk.pieces.size(), 1);
    EXPECT_GE(piece.broadcasts_offset_bytes,
              piece.inputs_offset_bytes + piece.num_elements * 4);
    EXPECT_GE(chunk.in_bytes, piece.broadcasts_offset_bytes + 9 * 4);
    EXPECT_GE(chunk.out_bytes, piece.sums_offset_bytes + 7 * 8);
    // Terms, and groups of sums.
    EXPECT_GE(piece.sum_scratch_offset_bytes, piece.num_elements * 4);
  }
  EXPECT_GE(chunks[0].scratch_bytes, 700 * 4 + 2 * 7 * 8);
}

TEST(ChunkCutter, CutsItemsWithBroadcastsOnlyIfThatIsWorthIt) {
  const std::vector<Broadcast::Dimension> few = {{30'000, true}, {10, false}};
  const std::vector<Broadcast::Dimension> many = {{10, true}, {30'000, false}};

  EXPECT_GT(CutBroadcasts({few}, false).size(), 2);
  // Each chunk would bring half a chunk of them along.
  ASSERT_EQ(CutBroadcasts({many}, false).size(), 1);
  EXPECT_TRUE(CutBroadcasts({many}, false)[0].is_large);
  // Sums of groups do not end where chunks do.
  ASSERT_EQ(CutBroadcasts({few}, true).size(), 1);
  EXPECT_TRUE(CutBroadcasts({few}, true)[0].is_large);
}

}  // namespace
}  // namespace actserve
