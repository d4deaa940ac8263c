#include "server/state/tensor_type.h"

#include <gtest/gtest.h>

#include <vector>

namespace actserve {
namespace {

TEST(TensorType, RejectsBytesNotMatchingShape) {
  const TensorType type{DType::kFloat32, {2, 3}, 6};

  EXPECT_TRUE(CheckPayload("inputs[0]", type, 24).ok());
  EXPECT_EQ(CheckPayload("inputs[0]", type, 23).message(),
            "inputs[0]: payload of 23 bytes, but shape [2, 3] of float32 "
            "needs 24");
}

TEST(TensorType, RejectsAnotherType) {
  const TensorType first{DType::kFloat32, {2, 3}, 6};
  const TensorType dtype{DType::kFloat16, {2, 3}, 6};
  const TensorType shape{DType::kFloat32, {3, 2}, 6};

  EXPECT_TRUE(CheckSameType("dy", first, "x", first).ok());
  EXPECT_EQ(CheckSameType("dy", dtype, "x", first).message(),
            "dy: dtype float16 differs from float32 of x");
  EXPECT_EQ(CheckSameType("dy", shape, "x", first).message(),
            "dy: shape [3, 2] differs from [2, 3] of x");
}

TEST(TensorType, ShortensLongShapes) {
  EXPECT_EQ(ShapeToString({}), "[]");
  EXPECT_EQ(ShapeToString(std::vector<int64_t>(9, 1)),
            "[1, 1, 1, 1, 1, 1, 1, 1, ...]");
}

}  // namespace
}  // namespace actserve
