#include "server/state/broadcasting.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace actserve {
namespace {

using Shape = std::vector<int64_t>;

TensorType Type(Shape shape, DType dtype = DType::kFloat32) {
  TensorType type = {dtype, std::move(shape)};
  for (const int64_t size : type.shape) type.num_elements *= size;
  return type;
}

std::string ErrorOf(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(BroadcastType, IsThatOfNumPy) {
  const struct {
    std::vector<Shape> inputs;
    Shape want;
  } kCases[] = {
      {{{2, 3}, {2, 3}}, {2, 3}},     {{{3}, {2, 3}}, {2, 3}},
      {{{2, 1}, {2, 3}}, {2, 3}},     {{{}, {2, 3}}, {2, 3}},
      {{{0, 3}, {3}}, {0, 3}},        {{{1}, {0}}, {0}},
      {{{1, 4}, {3, 4}, {}}, {3, 4}},
  };
  for (const auto& test : kCases) {
    std::vector<TensorType> types;
    for (const Shape& shape : test.inputs) types.push_back(Type(shape));
    const auto got = BroadcastType(types);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->shape, test.want);
  }
}

TEST(BroadcastType, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ErrorOf(BroadcastType({Type({2, 3}), Type({2})}).status()),
            "inputs[1]: shape [2] differs from [2, 3] of inputs[0]");
  EXPECT_EQ(ErrorOf(BroadcastType({Type({0}), Type({2})}).status()),
            "inputs[1]: shape [2] differs from [0] of inputs[0]");
  EXPECT_EQ(ErrorOf(BroadcastType({Type({2, 1}), Type({1, 3})}).status()),
            "inputs: together they broadcast to the shape [2, 3], but none of "
            "them has it");
  EXPECT_EQ(
      ErrorOf(BroadcastType({Type({}), Type({}, DType::kFloat64)}).status()),
      "inputs[1]: dtype float64 differs from float32 of inputs[0]");
}

TEST(BroadcastTo, RepeatsOnesAndMissingDimensions) {
  const Broadcast::Dimension want[] = {{2, true}, {3, false}, {4, true}};
  EXPECT_EQ(BroadcastTo({3, 1}, {2, 3, 4}), Broadcast(want));
}

TEST(BroadcastAlong, PutsTheDimensionsOnTheAxisAndThoseAfterIt) {
  const TensorType inputs = Type({2, 3, 4, 5});
  const Broadcast::Dimension one[] = {{2, true}, {3, false}, {20, true}};
  const Broadcast::Dimension two[] = {{2, true}, {12, false}, {5, true}};
  EXPECT_EQ(*BroadcastAlong("p", Type({3}), 1, inputs), Broadcast(one));
  EXPECT_EQ(*BroadcastAlong("p", Type({3}), -3, inputs), Broadcast(one));
  EXPECT_EQ(*BroadcastAlong("p", Type({3, 4}), 1, inputs), Broadcast(two));
  EXPECT_EQ(BroadcastAlong("p", inputs, 0, inputs)->num_elements(), 120);
}

TEST(BroadcastAlong, RefusesWhatDoesNotFit) {
  const TensorType inputs = Type({2, 3});
  const auto error = [&](const TensorType& type, std::optional<int64_t> axis) {
    return ErrorOf(BroadcastAlong("p", type, axis, inputs).status());
  };
  EXPECT_EQ(error(Type({3}), std::nullopt), "p: axis is not set");
  EXPECT_EQ(error(Type({3}), 2),
            "p: axis 2, but the inputs have the shape [2, 3]: want -2 to 1");
  EXPECT_EQ(error(Type({2}), 1),
            "p: shape [2] from axis 1 on, but the inputs have the shape [2, "
            "3]: [3] there");
  EXPECT_EQ(error(Type({3, 2}), 1),
            "p: shape [3, 2] from axis 1 on, but the inputs have the shape [2, "
            "3]: [3] there");
  EXPECT_EQ(error(Type({}), 0),
            "p: a tensor without dimensions; give a scalar");
  EXPECT_EQ(error(Type({3}, DType::kFloat16), 1),
            "p: dtype float16 differs from float32 of the inputs");
}

}  // namespace
}  // namespace actserve
