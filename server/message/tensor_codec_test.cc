#include "server/message/tensor_codec.h"

#include <gtest/gtest.h>

#include <limits>

namespace actserve {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

v1::Tensor Tensor(v1::DType dtype, std::vector<int64_t> shape) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  return tensor;
}

TEST(TensorCodec, CountsElements) {
  struct Case {
    std::vector<int64_t> shape;
    int64_t num_elements;
  };
  const Case cases[] = {
      {{}, 1},
      {{0}, 0},
      {{1}, 1},
      {{2, 3, 4}, 24},
      {{5, 0, 7}, 0},
      {{1, 1, 1, 1, 1, 1, 1, 1}, 1},
      {{1 << 30}, 1 << 30},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(ShapeToString(c.shape));
    auto type = DecodeTensor("x", Tensor(v1::DTYPE_FLOAT64, c.shape), {});
    ASSERT_TRUE(type.ok());
    EXPECT_EQ(type->num_elements, c.num_elements);
    EXPECT_EQ(type->size_bytes(), 8 * c.num_elements);
    EXPECT_EQ(type->shape, c.shape);
  }
}

TEST(TensorCodec, RefusesWhatIsNoTensor) {
  struct Case {
    v1::Tensor tensor;
    std::string message;
  };
  const Case cases[] = {
      {Tensor(v1::DTYPE_UNSPECIFIED, {1}), "x: dtype is not set"},
      {Tensor(static_cast<v1::DType>(5), {1}), "x: dtype 5 is not known"},
      {Tensor(static_cast<v1::DType>(-1), {1}), "x: dtype -1 is not known"},
      {Tensor(v1::DTYPE_FLOAT32, std::vector<int64_t>(9, 1)),
       "x: rank 9, limit 8"},
      {Tensor(v1::DTYPE_FLOAT32, {4, -1}),
       "x: shape [4, -1]: dimension 1 is negative"},
      {Tensor(v1::DTYPE_FLOAT32, {std::numeric_limits<int64_t>::min()}),
       "x: shape [-9223372036854775808]: dimension 0 is negative"},
      {Tensor(v1::DTYPE_FLOAT32, {(1 << 30) + 1}),
       "x: shape [1073741825]: too many elements, limit 1073741824"},
      {Tensor(v1::DTYPE_FLOAT32, {kMax, kMax}),
       "x: shape [9223372036854775807, 9223372036854775807]: too many "
       "elements, limit "
       "1073741824"},
      {Tensor(v1::DTYPE_FLOAT32, {int64_t{1} << 32, int64_t{1} << 32}),
       "x: shape [4294967296, 4294967296]: too many elements, limit "
       "1073741824"},
      {Tensor(v1::DTYPE_FLOAT32, {0, kMax, kMax}),
       "x: shape [0, 9223372036854775807, 9223372036854775807]: the "
       "dimensions beside 0 multiply to too much, limit 1073741824"},
      {Tensor(v1::DTYPE_FLOAT32, {int64_t{1} << 40, 0}),
       "x: shape [1099511627776, 0]: the dimensions beside 0 multiply to too "
       "much, limit 1073741824"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.message);
    auto type = DecodeTensor("x", c.tensor, {});
    EXPECT_EQ(type.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(type.status().message(), c.message);
  }
}

TEST(TensorCodec, EncodesWhatItDecodes) {
  const v1::Tensor tensor = Tensor(v1::DTYPE_BFLOAT16, {2, 0, 3});

  auto type = DecodeTensor("x", tensor, {});

  ASSERT_TRUE(type.ok());
  EXPECT_EQ(EncodeTensor(*type).SerializeAsString(),
            tensor.SerializeAsString());
}

}  // namespace
}  // namespace actserve
