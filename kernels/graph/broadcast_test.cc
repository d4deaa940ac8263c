#include "kernels/graph/broadcast.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

using Dimension = Broadcast::Dimension;

Broadcast Make(const std::vector<Dimension>& dimensions) {
  return Broadcast(dimensions);
}

TEST(Broadcast, MergesNeighboursAndDropsOnes) {
  const Broadcast broadcast = Make(
      {{2, true}, {1, false}, {3, true}, {4, false}, {5, false}, {1, true}});
  EXPECT_EQ(broadcast, Make({{6, true}, {20, false}}));
  EXPECT_EQ(broadcast.dimensions().size(), 2u);
  EXPECT_EQ(broadcast.num_elements(), 20);
  EXPECT_EQ(broadcast.num_read(), 120);
}

TEST(Broadcast, OfNothingIsOneElement) {
  EXPECT_EQ(Broadcast().num_elements(), 1);
  EXPECT_EQ(Broadcast().num_read(), 1);
  EXPECT_EQ(Broadcast().IndexOf(0), 0);
  EXPECT_EQ(Make({{1, true}, {1, false}}), Broadcast());
}

TEST(Broadcast, IndexOfDropsTheRepeatedCoordinates) {
  // Shape [2, 3, 4, 5]; the small tensor is [2, 1, 4, 1].
  const Broadcast broadcast =
      Make({{2, false}, {3, true}, {4, false}, {5, true}});
  int64_t element = 0;
  for (int64_t a = 0; a < 2; ++a) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t c = 0; c < 4; ++c) {
        for (int64_t d = 0; d < 5; ++d) {
          EXPECT_EQ(broadcast.IndexOf(element++), a * 4 + c)
              << a << b << c << d;
        }
      }
    }
  }
}

TEST(SumLike, OfANumberIsTheSumOfAllTerms) {
  std::mt19937 random(1);
  std::vector<float> terms(10'000);
  for (float& term : terms) term = std::normal_distribution<float>()(random);
  const std::vector<double> sums =
      SumLike(Make({{10, true}, {1000, true}}), absl::MakeConstSpan(terms));
  ASSERT_EQ(sums.size(), 1u);
  EXPECT_EQ(sums[0], Sum(absl::MakeConstSpan(terms)));
}

// Integers sum exactly in any order, so that only the places count.
TEST(SumLike, AddsToEachElementWhatReadsIt) {
  const std::vector<std::vector<Dimension>> shapes = {
      {{7, false}},
      {{7, true}},
      {{300, true}, {3, false}},
      {{3, false}, {5000, true}},
      {{70, true}, {5, false}, {9, true}},
      {{2, false}, {130, true}, {3, false}, {4, true}},
      {{65, true}, {2, false}, {67, true}, {3, false}},
      {{0, true}, {3, false}},
      {{3, false}, {0, true}},
      {{0, false}, {3, true}},
      {},
  };
  std::mt19937 random(2);
  for (const auto& shape : shapes) {
    const Broadcast broadcast = Make(shape);
    std::vector<double> terms(broadcast.num_read());
    std::vector<double> want(broadcast.num_elements());
    for (size_t e = 0; e < terms.size(); ++e) {
      terms[e] = static_cast<double>(random() % 1000);
      want[broadcast.IndexOf(e)] += terms[e];
    }
    EXPECT_EQ(SumLike(broadcast, absl::MakeConstSpan(terms)), want)
        << ::testing::PrintToString(terms.size());
    const std::vector<float> single(terms.begin(), terms.end());
    EXPECT_EQ(SumLike(broadcast, absl::MakeConstSpan(single)), want);
  }
}

// As the header states it, for a shape with all three kinds of sums.
TEST(SumLike, TakesTheStatedOrder) {
  constexpr int64_t kOuter = 200;
  constexpr int64_t kKept = 3;
  constexpr int64_t kRun = 37;
  std::mt19937 random(3);
  std::vector<double> terms(kOuter * kKept * kRun);
  for (double& term : terms) term = std::exp2(random() % 60) * (random() % 97);
  std::vector<double> want;
  for (int64_t kept = 0; kept < kKept; ++kept) {
    std::vector<double> groups;
    for (int64_t outer = 0; outer < kOuter; ++outer) {
      if (outer % 64 == 0) groups.push_back(0);
      groups.back() += Sum(absl::MakeConstSpan(terms).subspan(
          (outer * kKept + kept) * kRun, kRun));
    }
    ASSERT_EQ(groups.size(), 4u);
    want.push_back((groups[0] + groups[1]) + (groups[2] + groups[3]));
  }
  EXPECT_EQ(SumLike(Make({{kOuter, true}, {kKept, false}, {kRun, true}}),
                    absl::MakeConstSpan(terms)),
            want);
}

}  // namespace
}  // namespace actserve
