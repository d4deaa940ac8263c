// Every float function of one argument on all 2^32 floats, in the form in
// which kernels run it, against the function of the same name in double, which
// f64_test holds to MPFR.
//
// About half a minute of one core a function.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernels/math/math.h"
#include "kernels/math/testing/f32_bounds.h"
#include "kernels/math/testing/loops.h"

namespace actserve {
namespace {

using testing::ClangF32;
using testing::ClangF64;
using testing::F32Bound;
using testing::kF32Bounds;
using testing::Loop;

float FromBits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

template <typename T>
const Loop<T>* Find(const Loop<T>* loop, const char* name) {
  while (loop->name != nullptr && std::strcmp(loop->name, name) != 0) ++loop;
  return loop->name == nullptr ? nullptr : loop;
}

// The larger term of a gradient that is a sum s + x s' v' with a root, whose
// ulps count there; 0 for other functions.
double LargestTerm(const std::string& name, double x) {
  const double cubic = 0.044715 * x * x;
  const double c = 2 * std::sqrt(2 / M_PI);
  if (name == "silu_grad") {
    return std::max(actserve_sigmoid_f64(x),
                    std::fabs(x * actserve_sigmoid_grad_f64(x)));
  }
  if (name == "gelu_grad") {
    return std::max(actserve_normcdf_f64(x),
                    std::fabs(x * actserve_normpdf_f64(x)));
  }
  if (name == "gelu_tanh_grad" && std::fabs(x) < 20) {
    const double v = c * x * (1 + cubic);
    return std::max(
        actserve_sigmoid_f64(v),
        std::fabs(x * c * (1 + 3 * cubic) * actserve_sigmoid_grad_f64(v)));
  }
  if (name == "mish_grad" && std::fabs(x) < 200) {
    const double v = actserve_softplus_f64(x);
    return std::max(actserve_tanh_f64(v), std::fabs(x * actserve_sech2_f64(v) *
                                                    actserve_sigmoid_f64(x)));
  }
  return 0;
}

// |got - want| in ulps of a float of `scale`; an infinity counts as 2^128.
double ErrorInUlps(float got, double want, double scale) {
  if (std::isnan(got) || std::isnan(want)) {
    return std::isnan(got) && std::isnan(want) ? 0 : HUGE_VAL;
  }
  const double g = std::clamp<double>(got, -0x1p128, 0x1p128);
  const double w = std::clamp(want, -0x1p128, 0x1p128);
  const double size = std::clamp(std::fabs(scale), 0x1p-126, 0x1p127);
  const double power = __builtin_bit_cast(
      double, __builtin_bit_cast(uint64_t, size) & 0x7ff0000000000000);
  return std::fabs(g - w) / (power * 0x1p-23);
}

struct Worst {
  double error = 0;
  float x = 0;
};

// The worst float with bits in [begin, end), a multiple of kBlock each.
constexpr int kBlock = 4096;
Worst FindWorst(const char* name, uint64_t begin, uint64_t end) {
  const Loop<float>* narrow = Find(ClangF32(), name);
  const Loop<double>* wide = Find(ClangF64(), name);
  const bool is_sum = LargestTerm(name, 1) != 0;
  std::vector<float> x(kBlock), got(kBlock);
  std::vector<double> wide_x(kBlock), want(kBlock);
  Worst worst;
  for (uint64_t first = begin; first < end; first += kBlock) {
    for (int i = 0; i < kBlock; ++i) {
      x[i] = FromBits(static_cast<uint32_t>(first + i));
      wide_x[i] = x[i];
    }
    narrow->run(x.data(), got.data(), kBlock);
    wide->run(wide_x.data(), want.data(), kBlock);
    for (int i = 0; i < kBlock; ++i) {
      double scale = std::fabs(want[i]);
      if (is_sum) scale = std::max(scale, LargestTerm(name, wide_x[i]));
      const double error = ErrorInUlps(got[i], want[i], scale);
      if (error > worst.error) worst = {error, x[i]};
    }
  }
  return worst;
}

class F32Full : public ::testing::TestWithParam<F32Bound> {};

TEST_P(F32Full, StaysWithinItsUlps) {
  const F32Bound& bound = GetParam();
  ASSERT_NE(Find(ClangF32(), bound.name), nullptr);
  ASSERT_NE(Find(ClangF64(), bound.name), nullptr);
  const uint64_t parts = std::max(1u, std::thread::hardware_concurrency());
  const uint64_t share = ((uint64_t{1} << 32) / parts / kBlock + 1) * kBlock;
  std::vector<Worst> worst(parts);
  std::vector<std::thread> threads;
  for (uint64_t part = 0; part < parts; ++part) {
    threads.emplace_back([&bound, &worst, part, share] {
      const uint64_t end = std::min((part + 1) * share, uint64_t{1} << 32);
      worst[part] = FindWorst(bound.name, part * share, end);
    });
  }
  for (std::thread& thread : threads) thread.join();

  for (const Worst& part : worst) {
    EXPECT_LE(part.error, bound.max_ulp) << "at " << part.x;
    if (std::getenv("ACTSERVE_PRINT_ULPS") != nullptr) {
      std::printf("%-18s %.4f ulp at %a\n", bound.name, part.error, part.x);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, F32Full, ::testing::ValuesIn(kF32Bounds),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(F32FullMod, FloorMod1IsFloorModOfOne) {
  for (uint64_t i = 0; i < uint64_t{1} << 32; ++i) {
    const float x = FromBits(static_cast<uint32_t>(i));
    const float a = actserve_floormod1_f32(x);
    const float b = actserve_floormod_f32(x, 1.0f);
    ASSERT_TRUE(__builtin_bit_cast(uint32_t, a) ==
                    __builtin_bit_cast(uint32_t, b) ||
                (std::isnan(a) && std::isnan(b)))
        << x;
  }
}

}  // namespace
}  // namespace actserve
