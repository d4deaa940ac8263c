// double: asin, acos, atan and atan2.

#ifndef ACTSERVE_KERNELS_MATH_F64_INVERSE_TRIG_H_
#define ACTSERVE_KERNELS_MATH_F64_INVERSE_TRIG_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

constexpr Pair kHalfPi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
constexpr Pair kQuarterPi = {0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55};

// The angle in [0, pi] of the point (left ? -x : x, y), x and y >= 0, neither
// of them so large or small that a quotient loses bits. The smaller over the
// larger is below 1; above tan(pi/8) it is turned by pi/4. [minimax.py atan]
ACTSERVE_MATH_INTERNAL double AngleOf(double y, double x, bool left) {
  const bool steep = y > x;
  const double large = steep ? y : x;
  const double small = steep ? x : y;
  const bool turned = small > 0x1.a827999fcef32p-2 * large;
  const Pair difference = TwoSum(small, -large);
  const Pair sum = FastTwoSum(large, small);
  const Pair numerator = {turned ? difference.hi : small,
                          turned ? difference.lo : 0.0};
  const Pair denominator = {turned ? sum.hi : large, turned ? sum.lo : 0.0};
  const Pair t = Divide(numerator, denominator, 1.0 / denominator.hi);
  const double z = t.hi * t.hi;
  double p = -0x1.259d3b0a1080ep-6;
  p = Fma(p, z, 0x1.37ed3a75bdb92p-5);
  p = Fma(p, z, -0x1.9cdc24cf2d580p-5);
  p = Fma(p, z, 0x1.df116714e1e10p-5);
  p = Fma(p, z, -0x1.10ebdd9775316p-4);
  p = Fma(p, z, 0x1.3b111c63ee6b3p-4);
  p = Fma(p, z, -0x1.745cf90b113b1p-4);
  p = Fma(p, z, 0x1.c71c70e7a1e85p-4);
  p = Fma(p, z, -0x1.24924922b11f6p-3);
  p = Fma(p, z, 0x1.99999999958ebp-3);
  p = Fma(p, z, -0x1.555555555553dp-2);
  const double low = Fma(t.hi * z, p, t.lo);
  // octants pi/4 + sign atan(t).
  double octants = turned ? 1.0 : 0.0;
  double sign = 1.0;
  octants = Select(steep, 2.0 - octants, octants);
  sign = Select(steep, -sign, sign);
  octants = Select(left, 4.0 - octants, octants);
  sign = Select(left, -sign, sign);
  const Pair base = TwoProduct(octants, kQuarterPi.hi);
  const Pair total = FastTwoSum(base.hi, sign * t.hi);
  const double base_low = Fma(octants, kQuarterPi.lo, base.lo);
  return total.hi + (total.lo + Fma(sign, low, base_low));
}

}  // namespace actserve::f64

// atan(x). NaN: NaN, +-inf: +-pi/2, +-0: +-0. 0.67 ulp.
ACTSERVE_MATH double actserve_atan_f64(double x) {
  using namespace actserve::f64;
  // Beyond 2^60 all is pi/2.
  const double angle = AngleOf(AtMost(Abs(x), 0x1p60), 1.0, false);
  return CopySign(angle, x);
}

// The angle of the point (x, y) in [-pi, pi], its sign that of y; zeros and
// infinities as C's atan2 has them. NaN if either is NaN. 0.75 ulp.
ACTSERVE_MATH double actserve_atan2_f64(double y, double x) {
  using namespace actserve::f64;
  const double ax = Abs(x);
  const double ay = Abs(y);
  const double large = ax > ay ? ax : ay;
  // Room above for a reciprocal, and below for the rest of a division.
  double scale = large < 0x1p100 ? 0x1p200 : 1.0;
  scale = large > 0x1p900 ? 0x1p-100 : scale;
  // An infinity counts as 1 beside 0, or beside another infinity.
  const bool infinite = large == kInfinity;
  const double scaled_x =
      Select(infinite, ax == kInfinity ? 1.0 : 0.0, ax * scale);
  const double scaled_y =
      Select(infinite, ay == kInfinity ? 1.0 : 0.0, ay * scale);
  const bool left = (ToBits(x) >> 63) != 0;
  const double angle = AngleOf(scaled_y, large == 0.0 ? 1.0 : scaled_x, left);
  const bool is_nan = (x != x) | (y != y);
  return Select(is_nan, kNaN, CopySign(angle, y));
}

namespace actserve::f64 {

// asin(u), where u = |x| up to 0.5 and sqrt((1-|x|)/2) beyond, of which asin
// is (pi/2 - asin|x|)/2. [minimax.py asin]
struct HalfAsin {
  bool near;  // |x| <= 0.5
  Pair value;
};
ACTSERVE_MATH_INTERNAL HalfAsin AsinParts(double x) {
  const double a = Abs(x);
  const bool near = a <= 0.5;
  const double far_z = Fma(-0.5, a, 0.5);
  const double root = Sqrt(far_z);
  // The rest of the root; never 0/0.
  const double root_low = Fma(-root, root, far_z) / (2.0 * root + 0x1p-600);
  const double u = near ? a : root;
  const double z = Select(near, a * a, far_z);
  double p = 0x1.0bb077ce629f9p-5;
  p = Fma(p, z, -0x1.5954c78cb3c29p-6);
  p = Fma(p, z, 0x1.6492e2501ede1p-6);
  p = Fma(p, z, 0x1.e2bddb77cd394p-9);
  p = Fma(p, z, 0x1.61740032d38c3p-7);
  p = Fma(p, z, 0x1.757b77bae0876p-7);
  p = Fma(p, z, 0x1.ca20ce593d345p-7);
  p = Fma(p, z, 0x1.1c49e2b85a3b8p-6);
  p = Fma(p, z, 0x1.6e8bdfa699702p-6);
  p = Fma(p, z, 0x1.f1c71a8dc1d04p-6);
  p = Fma(p, z, 0x1.6db6db72260f5p-5);
  p = Fma(p, z, 0x1.333333332df7ep-4);
  p = Fma(p, z, 0x1.5555555555578p-3);
  return {near, {u, Fma(u * z, p, near ? 0.0 : root_low)}};
}

}  // namespace actserve::f64

// asin(x). NaN and |x| > 1: NaN, +-0: +-0. 0.60 ulp.
ACTSERVE_MATH double actserve_asin_f64(double x) {
  using namespace actserve::f64;
  const HalfAsin parts = AsinParts(x);
  const Pair far = FastTwoSum(kHalfPi.hi, -2.0 * parts.value.hi);
  const double far_low = far.lo + Fma(-2.0, parts.value.lo, kHalfPi.lo);
  const double near = parts.value.hi + parts.value.lo;
  return CopySign(Select(parts.near, near, far.hi + far_low), x);
}

// acos(x). NaN and |x| > 1: NaN, 1: +0, -1: pi. 0.60 ulp.
ACTSERVE_MATH double actserve_acos_f64(double x) {
  using namespace actserve::f64;
  const HalfAsin parts = AsinParts(x);
  const bool left = x < 0.0;
  // quadrants pi/2 + factor asin(u).
  const double quadrants = parts.near ? 1.0 : (left ? 2.0 : 0.0);
  const double size = parts.near ? -1.0 : 2.0;
  const double factor = left ? -size : size;
  const Pair sum = FastTwoSum(quadrants * kHalfPi.hi, factor * parts.value.hi);
  const double low = Fma(factor, parts.value.lo, quadrants * kHalfPi.lo);
  return sum.hi + (sum.lo + low);
}

#endif  // ACTSERVE_KERNELS_MATH_F64_INVERSE_TRIG_H_
