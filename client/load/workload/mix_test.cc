#include "client/load/workload/mix.h"

#include <cmath>
#include <vector>

#include "client/load/workload/tensors.h"
#include "gtest/gtest.h"

namespace actserve {
namespace {

std::vector<RequestSpec> TwoRequests() {
  std::vector<RequestSpec> requests(2);
  requests[0].name = "a";
  requests[0].weight = 3;
  requests[0].shapes = {{{1}}};
  requests[1].name = "b";
  requests[1].shapes = {{{1}, 1}, {{2}, 0}, {{3}, 1}};
  return requests;
}

TEST(Mix, DrawsByWeight) {
  constexpr int kCount = 40'000;
  Mix mix(TwoRequests(), /*verify=*/0.1, /*seed=*/1);
  std::vector<int> requests(2);
  std::vector<int> shapes(3);
  int verified = 0;
  for (int i = 0; i < kCount; ++i) {
    const Pick pick = mix.Next();
    ++requests[pick.request];
    if (pick.request == 1) ++shapes[pick.shape];
    verified += pick.verify;
  }

  // Five standard deviations.
  EXPECT_NEAR(requests[0], 30'000, 5 * std::sqrt(7500));
  EXPECT_NEAR(shapes[0], requests[1] / 2.0, 5 * std::sqrt(2500));
  EXPECT_EQ(shapes[1], 0);
  EXPECT_NEAR(verified, 4000, 5 * std::sqrt(3600));
}

TEST(Mix, TheSeedDecides) {
  const auto draw = [](uint64_t seed) {
    Mix mix(TwoRequests(), 0.5, seed);
    std::vector<uint32_t> all;
    for (int i = 0; i < 50; ++i) {
      const Pick pick = mix.Next();
      all.push_back(pick.request * 8 + pick.shape * 2 + pick.verify);
      all.push_back(pick.variant);
    }
    return all;
  };

  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Tensors, TheSeedDecidesAndElementsAreNormal) {
  constexpr size_t kCount = 20'000;
  const auto fill = [](uint64_t seed) {
    SeededRandom random(seed, 2);
    std::vector<float> elements(kCount);
    const TensorMemory memory = AllocateTensor(kCount * sizeof(float), nullptr);
    FillNormal(v1::DTYPE_FLOAT32, random, memory);
    std::memcpy(elements.data(), memory.bytes.get(), memory.size_bytes);
    return elements;
  };
  const std::vector<float> elements = fill(1);

  EXPECT_EQ(elements, fill(1));
  EXPECT_NE(elements, fill(2));
  double sum = 0;
  double squares = 0;
  for (const float element : elements) {
    sum += element;
    squares += element * element;
  }
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
}

TEST(RequestSpec, DrawsSizesFromADistribution) {
  const auto shapes = LogNormalShapes(4096, 1);

  ASSERT_EQ(shapes.size(), 16u);
  // The median lies between the two in the middle, and the outermost ones are
  // the quantiles 1/32 and 31/32: exp(1.8627) = 6.441 away.
  EXPECT_NEAR(std::sqrt(shapes[7].shape[0] * shapes[8].shape[0]), 4096, 2);
  EXPECT_NEAR(shapes[15].shape[0] / 4096.0, 6.441, 0.01);
  EXPECT_NEAR(4096.0 / shapes[0].shape[0], 6.441, 0.01);
  EXPECT_EQ(UniformShapes(0, 320)[0].shape[0], 10);
}

TEST(RequestSpec, ReadsFlags) {
  const auto request = ParseRequestFlag("residual:gelu:float16:2x3:4");

  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->kind, RequestKind::kResidual);
  EXPECT_EQ(request->activation, "gelu");
  EXPECT_EQ(request->dtype, v1::DTYPE_FLOAT16);
  EXPECT_EQ(request->shapes[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(request->weight, 4);
}

TEST(RequestSpec, RefusesWrongFlags) {
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"backwards",
       "kind 'backwards' is none of forward, stream, partials, residual, "
       "stateless, register, hostile, echo"},
      {"forward:relu:int8",
       "dtype 'int8' is none of float16, bfloat16, float32, float64"},
      {"forward:relu:float32:2xx",
       "shape '2xx' is not SIZExSIZE..., such as 256x768"},
      {"forward:relu:float32:2:0", "weight '0' is no number above 0"},
      {"forward:relu:float32:2:1:1",
       "'forward:relu:float32:2:1:1' is not "
       "KIND:ACTIVATION:DTYPE:SHAPE[:WEIGHT]"}};
  for (const Case& each : cases) {
    EXPECT_EQ(ParseRequestFlag(each.text).status(),
              absl::InvalidArgumentError(each.message));
  }
}

TEST(RequestSpec, RefusesAStreamThatGoesAsOneMessage) {
  RequestSpec request = *ParseRequestFlag("stream:relu:float32:2097152");

  EXPECT_TRUE(CheckRequest(request, /*by_unix_socket=*/false).ok());
  EXPECT_EQ(CheckRequest(request, /*by_unix_socket=*/true),
            absl::InvalidArgumentError(
                "stream of 8388608 bytes: clients send less than 67108864 as "
                "one message"));
}

}  // namespace
}  // namespace actserve
