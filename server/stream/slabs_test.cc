#include "server/stream/slabs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace actserve {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kMaxSlabBytes = 64 * kMiB;

TensorType TypeOf(std::vector<int64_t> shape, DType dtype = DType::kFloat32) {
  TensorType type;
  type.dtype = dtype;
  type.shape = std::move(shape);
  for (const int64_t dimension : type.shape) type.num_elements *= dimension;
  return type;
}

// A request of `num_inputs` of one shape.
StreamRequest RequestOf(const TensorType& type, int num_inputs) {
  StreamRequest stream;
  stream.request.type = type;
  for (int i = 0; i < num_inputs; ++i) {
    stream.request.payloads.push_back(i);
    stream.payload_bytes.push_back(type.size_bytes());
  }
  return stream;
}

// Of `num_tensors` outputs, and gradients of numbers.
LoweredProgram ProgramOf(int num_tensors, int num_numbers = 0) {
  LoweredProgram program;
  program.graph.outputs.resize(num_tensors + num_numbers);
  for (int i = num_tensors; i < num_tensors + num_numbers; ++i) {
    program.graph.outputs[i].summed = true;
  }
  return program;
}

Slabs Cut(StreamRequest stream, const LoweredProgram& program) {
  auto slabs = Slabs::Cut(std::move(stream), program, kMaxSlabBytes);
  EXPECT_TRUE(slabs.ok()) << slabs.status();
  return *std::move(slabs);
}

std::string ErrorOf(StreamRequest stream, const LoweredProgram& program) {
  const auto slabs = Slabs::Cut(std::move(stream), program, kMaxSlabBytes);
  EXPECT_TRUE(absl::IsInvalidArgument(slabs.status())) << slabs.status();
  return std::string(slabs.status().message());
}

TEST(Slabs, HaveAMebibyteOfEachTensor) {
  const Slabs slabs = Cut(RequestOf(TypeOf({1000, 1001}), 2), ProgramOf(1));

  EXPECT_EQ(slabs.count(), 4);
  EXPECT_EQ(slabs.ElementsOf(0), (Slabs::Range{0, 262144}));
  EXPECT_EQ(slabs.ElementsOf(3), (Slabs::Range{786432, 1001000}));
  EXPECT_EQ(slabs.BytesOf(3, 1), (Slabs::Range{3145728, 4004000}));
  EXPECT_EQ(slabs.input_bytes(), 2 * kMiB);
  EXPECT_EQ(slabs.output_bytes(), kMiB);
  EXPECT_EQ(slabs.window_bytes(), 4 * kMiB);
  EXPECT_EQ(slabs.MostOutputBytes(), 4 * kMiB);
}

TEST(Slabs, AreSmallerWhereTensorsAreMany) {
  StreamRequest stream = RequestOf(TypeOf({1 << 22}), 5);
  stream.window_bytes = kMiB;
  const Slabs slabs = Cut(stream, ProgramOf(4));

  // Half of the window for inputs, and all of that of results.
  EXPECT_EQ(slabs.ElementsOf(0).end, 65536);
  EXPECT_LE(slabs.input_bytes(), kMaxStreamWindowBytes / 2);
  EXPECT_LE(slabs.output_bytes(), kMiB);
}

TEST(Slabs, KnowTheirPlaceInTheTensor) {
  StreamRequest stream = RequestOf(TypeOf({1 << 20}), 1);
  stream.request.element_offset = 100;
  const Slabs slabs = Cut(stream, ProgramOf(1));

  const DecodedRequest slab = slabs.RequestOf(2, TensorInputs(1));

  EXPECT_EQ(slab.request.element_offset, 100 + 2 * 262144);
  EXPECT_EQ(slab.request.type.num_elements, 262144);
}

TEST(Slabs, HoldWholeBlocksOfRows) {
  struct Case {
    std::vector<int64_t> shape;
    int axis;
    int64_t elements;
    std::vector<int64_t> slab_shape;
  };
  for (const Case& each : {Case{{2000, 1000}, 1, 262000, {262, 1000, 1}},
                           Case{{50, 100, 300}, 1, 240000, {8, 100, 300}},
                           Case{{50, 100, 300}, 2, 261900, {873, 300, 1}},
                           Case{{4, 400000}, 1, 400000, {1, 400000, 1}},
                           // One block.
                           Case{{1000, 2000}, 0, 2000000, {1000, 2000}}}) {
    SCOPED_TRACE(::testing::PrintToString(each.shape));
    StreamRequest stream = RequestOf(TypeOf(each.shape), 1);
    stream.request.axis = each.axis;
    const Slabs slabs = Cut(stream, ProgramOf(1));

    EXPECT_EQ(slabs.ElementsOf(0), (Slabs::Range{0, each.elements}));
    EXPECT_GE(slabs.window_bytes(), slabs.input_bytes());
    const TensorRequest slab = slabs.RequestOf(0, TensorInputs(1)).request;
    EXPECT_EQ(slab.type.shape, each.slab_shape);
    EXPECT_EQ(slab.rows().size, stream.request.rows().size);
    EXPECT_EQ(slab.rows().stride, stream.request.rows().stride);
  }
}

// Only then are their sums parts of the sum of all.
TEST(Slabs, AreAPowerOfTwoOfTilesWhereNumbersAreSummed) {
  const Slabs plain = Cut(RequestOf(TypeOf({3000, 1000}), 2), ProgramOf(1, 2));
  EXPECT_EQ(plain.ElementsOf(0).end, 262144);

  StreamRequest even = RequestOf(TypeOf({3000, 1024}), 2);
  even.request.axis = 1;
  EXPECT_EQ(Cut(even, ProgramOf(1, 1)).ElementsOf(0).end, 262144);

  StreamRequest odd = RequestOf(TypeOf({3000, 1000}), 2);
  odd.request.axis = 1;
  EXPECT_EQ(Cut(odd, ProgramOf(1, 1)).count(), 1);
}

TEST(Slabs, CutWhatBroadcastsWithThem) {
  StreamRequest stream = RequestOf(TypeOf({500, 40, 100}), 1);
  const std::vector<std::vector<int64_t>> shapes = {{100}, {500, 1, 1}};
  for (size_t b = 0; b < shapes.size(); ++b) {
    BroadcastTensor tensor;
    tensor.variable = static_cast<int>(b) + 1;
    tensor.type = TypeOf(shapes[b]);
    tensor.shape = b == 0 ? Broadcast({{20000, true}, {100, false}})
                          : Broadcast({{500, false}, {4000, true}});
    stream.payload_bytes.push_back(tensor.type.size_bytes());
    stream.request.payloads.push_back(static_cast<int>(b) + 1);
    stream.request.broadcasts.push_back(tensor);
  }
  const Slabs slabs = Cut(stream, ProgramOf(1));
  EXPECT_EQ(slabs.ElementsOf(1), (Slabs::Range{260000, 520000}));
  EXPECT_FALSE(slabs.IsKept(0));
  EXPECT_TRUE(slabs.IsKept(1) && slabs.IsKept(2));
  EXPECT_EQ(slabs.kept_bytes(), 2400);

  const std::vector<std::byte> memory(4000);
  TensorInputs payloads(3);
  payloads[1] = {{memory.data(), 400}};
  payloads[2] = {{memory.data(), 2000}};
  const DecodedRequest slab = slabs.RequestOf(1, payloads);

  EXPECT_EQ(slab.request.broadcasts[0].shape,
            Broadcast({{2600, true}, {100, false}}));
  EXPECT_EQ(slab.request.broadcasts[1].shape,
            Broadcast({{65, false}, {4000, true}}));
  EXPECT_EQ(slab.inputs[1][0].size_bytes, 400);
  EXPECT_EQ(slab.inputs[2][0].data, memory.data() + 65 * 4);
  EXPECT_EQ(slab.inputs[2][0].size_bytes, 65 * 4);
}

TEST(Slabs, SayWhyTheyCannotBeSmaller) {
  StreamRequest rows = RequestOf(TypeOf({3, 1 << 25}), 1);
  rows.request.axis = 1;
  EXPECT_THAT(ErrorOf(rows, ProgramOf(1)),
              HasSubstr("33554432 elements must be computed at once because of "
                        "rows along axis 1: tensors of 134217728 bytes, limit "
                        "67108864 (--max_message_bytes)"));

  StreamRequest sums = RequestOf(TypeOf({20000, 1000}), 1);
  sums.request.axis = 1;
  EXPECT_THAT(ErrorOf(sums, ProgramOf(0, 1)),
              HasSubstr("the gradient of a number over blocks of 1000 "
                        "elements, no power of two"));

  StreamRequest split = RequestOf(TypeOf({1 << 25}), 1);
  split.request.split.emplace();
  EXPECT_THAT(ErrorOf(split, ProgramOf(1)), HasSubstr("split_axis"));

  LoweredProgram program = ProgramOf(1, 1);
  program.graph.outputs[1].like = 0;
  EXPECT_THAT(ErrorOf(RequestOf(TypeOf({1 << 25}), 1), program),
              HasSubstr("the gradient of a tensor that broadcasts"));
}

TEST(Slabs, OfNoElementsAreOne) {
  const Slabs slabs = Cut(RequestOf(TypeOf({0, 5}), 1), ProgramOf(1));

  EXPECT_EQ(slabs.count(), 1);
  EXPECT_EQ(slabs.BytesOf(0, 0), Slabs::Range());
}

}  // namespace
}  // namespace actserve
