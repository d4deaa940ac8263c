// Philox against the vectors of its authors, and the numbers made of its words
// against MPFR and against their distributions.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/math/math.h"
#include "kernels/math/reference/real.h"

namespace actserve {
namespace {

using testing::Real;

constexpr uint64_t kSeed = 20261128;
constexpr int kCount = 1 << 20;

// kat_vectors of Random123 1.14.0, "philox4x32 10".
TEST(Philox, MatchesThePublishedVectors) {
  struct Case {
    std::array<uint32_t, 4> counter;
    std::array<uint32_t, 2> key;
    std::array<uint32_t, 4> want;
  };
  const Case cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& [c, key, want] : cases) {
    const philox::Words got =
        philox::Philox4x32({c[0], c[1], c[2], c[3]}, key[0], key[1]);

    EXPECT_EQ((std::array<uint32_t, 4>{got.w0, got.w1, got.w2, got.w3}), want);
  }
}

// The third vector, spelled as a draw: every word of counter and key has its
// place.
TEST(Draw, PutsPlaceStreamKindAndSeedWhereTheHeaderSays) {
  const philox::Words got = philox::Draw(0x299f31d0a4093822, 0x13198a2e,
                                         0x03707344, 0x85a308d3243f6a88);

  EXPECT_EQ(got.w0, 0xd16cfe09);
  EXPECT_EQ(got.w3, 0x24126ea1);
}

TEST(Draw, OfFloat64RoundsDownToThatOfFloat32) {
  for (int i = 0; i < kCount; ++i) {
    const double wide = actserve_uniform_f64(kSeed, 3, i);

    ASSERT_EQ(actserve_uniform_f32(kSeed, 3, i),
              std::floor(wide * 0x1p24) * 0x1p-24);
    ASSERT_EQ(wide, std::floor(wide * 0x1p53) * 0x1p-53);
  }
}

// u and v from the words by exact arithmetic, but for the rounding of float's
// u, which is part of its definition.
struct Arguments {
  double u;
  Real turns;
};

Arguments FloatArguments(const philox::Words& words) {
  const float u = (static_cast<float>(words.w0 / 2) + 0.5f) / 2147483648.0f;
  return {u, Real(words.w2) / 4294967296.0};
}

Arguments DoubleArguments(const philox::Words& words) {
  const auto high = static_cast<double>(words.w0 / 32);
  const auto low = static_cast<double>(words.w1 / 64);
  return {(high * 67108864.0 + low + 0.5) / 0x1p53,
          (Real(words.w2) * 2097152.0 + Real(words.w3 / 2048)) / 0x1p53};
}

// Errors in units of the last place of the exact number.
double Ulps(double got, const Arguments& at, int bits) {
  const Real want =
      Sqrt(Real(-2) * Log(Real(at.u))) * Cos(Real(2) * Real::Pi() * at.turns);
  if (want.ToDouble() == 0) return got == 0 ? 0 : INFINITY;
  const double ulp = std::ldexp(1, std::ilogb(want.ToDouble()) + 1 - bits);
  return std::fabs(((Real(got) - want) / ulp).ToDouble());
}

TEST(Draw, NormalIsAsNearAsStated) {
  double worst_f32 = 0;
  double worst_f64 = 0;
  for (int i = 0; i < 100'000; ++i) {
    const philox::Words words = philox::Draw(kSeed, 0, philox::kNormal, i);

    worst_f32 = std::max(worst_f32, Ulps(actserve_normal_f32(kSeed, 0, i),
                                         FloatArguments(words), 24));
    worst_f64 = std::max(worst_f64, Ulps(actserve_normal_f64(kSeed, 0, i),
                                         DoubleArguments(words), 53));
  }
  EXPECT_LE(worst_f32, 4);
  EXPECT_LE(worst_f64, 3);
}

// Bins of equal probability: with 255 degrees of freedom chi square is above
// 330.5 once in a thousand samples, and these are one sample each.
template <typename Number, typename Cdf>
double ChiSquare(Number number, Cdf cdf) {
  std::vector<int> bins(256);
  for (int i = 0; i < kCount; ++i) {
    ++bins[std::min(255, static_cast<int>(cdf(number(i)) * 256))];
  }
  const double expected = kCount / 256.0;
  double sum = 0;
  for (const int count : bins) {
    sum += (count - expected) * (count - expected) / expected;
  }
  return sum;
}

TEST(Draw, IsDistributedAsItsNameSays) {
  const auto same = [](double x) { return x; };
  const auto phi = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  for (const uint32_t stream : {0U, 1U, 0xffffffffU}) {
    SCOPED_TRACE(stream);
    const auto with = [stream](auto draw) {
      return [=](uint64_t i) { return draw(kSeed, stream, i); };
    };

    EXPECT_LT(ChiSquare(with(actserve_uniform_f32), same), 330.5);
    EXPECT_LT(ChiSquare(with(actserve_uniform_f64), same), 330.5);
    EXPECT_LT(ChiSquare(with(actserve_normal_f32), phi), 330.5);
    EXPECT_LT(ChiSquare(with(actserve_normal_f64), phi), 330.5);
  }
}

// Numbers in [-1, 1] or of variance 1 that are independent have a mean product
// within 5 / sqrt(n) of 0.
TEST(Draw, NumbersOfOtherSeedsStreamsKindsAndPlacesAreIndependent) {
  constexpr double kBound = 5 / 1024.0;
  const auto product = [](auto a, auto b) {
    double sum = 0;
    for (int i = 0; i < kCount; ++i) sum += a(i) * b(i);
    return std::fabs(sum / kCount);
  };
  const auto normal = [](uint64_t seed, uint32_t stream, uint64_t offset) {
    return [=](uint64_t i) {
      return actserve_normal_f32(seed, stream, i + offset);
    };
  };
  const auto uniform = [](uint64_t i) {
    return 2 * actserve_uniform_f32(7, 0, i) - 1;
  };

  EXPECT_LT(product(normal(7, 0, 0), normal(8, 0, 0)), kBound);
  EXPECT_LT(product(normal(7, 0, 0), normal(7 + (1ULL << 32), 0, 0)), kBound);
  EXPECT_LT(product(normal(7, 0, 0), normal(7, 1, 0)), kBound);
  EXPECT_LT(product(normal(7, 0, 0), normal(7, 0, 1)), kBound);
  EXPECT_LT(product(normal(7, 0, 0), normal(7, 0, 1ULL << 32)), kBound);
  EXPECT_LT(product(normal(7, 0, 0), uniform), kBound);
}

// The smallest u is too rare to be drawn: its radius is computed apart.
TEST(Draw, NormalIsFiniteAndWithinItsBound) {
  double most = 0;
  for (uint64_t i = 0; i < uint64_t{1} << 24; ++i) {
    const float x = actserve_normal_f32(kSeed, 5, i);
    ASSERT_TRUE(std::isfinite(x)) << i;
    most = std::max<double>(most, std::fabs(x));
  }
  EXPECT_GT(most, 5.0);
  EXPECT_LT(std::sqrt(-2 * actserve_log_f32(0.5f * 0x1p-31f)), 6.67);
  EXPECT_LT(std::sqrt(-2 * actserve_log_f64(0.5 * 0x1p-53)), 8.66);
}

}  // namespace
}  // namespace actserve
