// double: sin, cos and tan, over the whole range.
//
// The one place of kernels/math that reads a table: 2/pi from 31 starting
// points, 1 KiB, so that a reduction is exact to 2^-110 however large the
// argument is, at the same cost and without a branch.

#ifndef ACTSERVE_KERNELS_MATH_F64_TRIG_H_
#define ACTSERVE_KERNELS_MATH_F64_TRIG_H_

#include "kernels/math/f64_core.h"
#include "kernels/math/macros.h"

namespace actserve::f64 {

// Row j: 2^(32 j) 2/pi, multiples of 4 left out, as the sum of four doubles.
// [minimax.py two_over_pi]
constexpr double kTwoOverPi[31][4] = {
    {0x1.45f306dc9c883p-1, -0x1.6b01ec5417056p-55, -0x1.6447e493ad4cep-109,
     0x1.e21c820ff28b2p-163},
    {0x1.27220a94fe13bp+1, -0x1.05c1596447e49p-53, -0x1.d6a66c3bc6fbep-108,
     -0x1.ae9c5421443aap-168},
    {0x1.fc2757d1f534ep+0, -0x1.1f924eb53361ep-55, 0x1.c820ff28b1d5fp-111,
     -0x1.443a9e48db91cp-168},
    {0x1.f534ddc0db629p+0, 0x1.664f10e4107f9p-54, 0x1.163abdebbc562p-108,
     -0x1.236e4716f6c8bp-162},
    {0x1.b6c52b3278872p-1, 0x1.07f9458eaf7afp-58, -0x1.d4f246dc8e2dfp-115,
     0x1.374b801924bbbp-170},
    {0x1.3c439041fe516p+0, 0x1.d5ef5de2b0db9p-55, 0x1.1b8e909374b80p-110,
     0x1.924bba8274648p-166},
    {0x1.fe5163abdebbcp+0, 0x1.586dc91b8e909p-54, 0x1.ba5c00c925dd4p-109,
     0x1.3a32439fc3bd6p-165},
    {0x1.ef5de2b0db923p+1, 0x1.c74849ba5c00dp-53, -0x1.b688afb1736f2p-107,
     0x1.fc3bd63962535p-161},
    {0x1.b7246e3a424ddp+0, 0x1.700324977504fp-55, -0x1.cdbc603c429c7p-109,
     0x1.894d39f74411bp-163},
    {0x1.2126e97003249p+1, 0x1.dd413a32439fcp-53, 0x1.deb1cb129a73fp-108,
     -0x1.77dca0ad144bbp-164},
    {0x1.924bba8274648p-6, 0x1.cfe1deb1cb12ap-60, -0x1.63045df7282b4p-114,
     -0x1.44bb7b16638fep-168},
    {0x1.04e8c90e7f0efp+1, 0x1.63962534e7dd1p-53, 0x1.1afa975da2427p-111,
     0x1.338e04d68befdp-165},
    {0x1.fc3bd63962535p-1, -0x1.822efb9415a29p-57, 0x1.a24274ce38136p-111,
     -0x1.741037d8cdc54p-165},
    {0x1.62534e7dd1047p-1, -0x1.0568a25dbd8b3p-55, -0x1.c7eca5d040df6p-111,
     -0x1.9b8a719f2b318p-166},
    {0x1.74411afa975dap+1, 0x1.213a671c09ad1p-54, 0x1.f7e413991d63ap-108,
     -0x1.f2b3182d8dee8p-162},
    {0x1.2ebb4484e99c7p+0, 0x1.35a2fbf209cc9p-59, -0x1.4e33e566305b2p-115,
     0x1.08bf177bf2507p-169},
    {0x1.d338e04d68bf0p-1, -0x1.bec66e29c67cbp-56, 0x1.9cfa4e422fc5ep-111,
     -0x1.036be27003b40p-167},
    {0x1.5a2fbf209cc8fp+1, -0x1.38cf9598c16c7p-53, 0x1.17e2ef7e4a0ecp-110,
     0x1.ff897ffde0598p-164},
    {0x1.3991d63983534p+0, -0x1.82d8dee81d108p-54, -0x1.b5f13801da001p-110,
     0x1.e05980fef2f12p-164},
    {0x1.835339f49c846p+0, -0x1.d1081b5f13802p-58, 0x1.2fffbc0b301fep-113,
     -0x1.a1dce94beb25cp-169},
    {0x1.3908bf177bf25p-1, 0x1.d8ffc4bffef03p-59, -0x1.9fc04343b9d29p-114,
     -0x1.f592e092c9813p-168},
    {0x1.defc941d8ffc5p+1, -0x1.00043f4cfe022p-53, 0x1.788c5ad053690p-107,
     -0x1.25930261b069fp-161},
    {0x1.8ffc4bffef02dp+1, -0x1.fc04343b9d298p-54, 0x1.4da3eda6cfd9ep-109,
     0x1.3e584dba7a320p-163},
    {0x1.ef02cc07f7979p+1, -0x1.ce94beb25c126p-53, 0x1.b3f6793e584dcp-107,
     -0x1.61738132c3403p-161},
    {0x1.f79788c5ad053p+1, 0x1.a3eda6cfd9e50p-53, -0x1.a7b24585ce04dp-107,
     0x1.3cbfd45aea4f7p-161},
    {0x1.ad05368fb69b4p+1, -0x1.30d834f648b0cp-56, 0x1.8fd9a797fa8b6p-110,
     -0x1.5b08a7028341dp-165},
    {0x1.b69b3f6793e58p+1, 0x1.36e9e8c7ecd3dp-53, -0x1.00ae9456c229cp-107,
     -0x1.41a0e84c2f8c6p-164},
    {0x1.93e584dba7a32p+1, -0x1.32c3402ba515bp-57, -0x1.14e050683a131p-114,
     0x1.0739f78a5292fp-168},
    {0x1.a7a31fb34f2ffp+1, 0x1.45aea4f758fd8p-53, -0x1.a0e84c2f8c608p-108,
     -0x1.d6b5b45650128p-162},
    {0x1.4f2ff516ba93ep+1, -0x1.4e050683a130cp-54, 0x1.ce7de294a4baap-110,
     -0x1.404a04ee072a3p-164},
    {0x1.7527bac7ebe5fp+0, 0x1.7b3d0739f78a5p-56, 0x1.497535fdafd89p-111,
     -0x1.ca8bdea7f33eep-170},
};

// x = angle + quadrant pi/2 modulo 2 pi, |angle| <= pi/4; the quadrant's two
// low bits count.
struct Reduced {
  Pair angle;
  Bits quadrant;
};

// After Payne and Hanek: x = y 2^(32 j) with y either an integer or below
// 2^84, so that multiples of 4 in 2^(32 j) 2/pi give whole turns.
ACTSERVE_MATH_INTERNAL Reduced ReduceAngle(double x) {
  const Bits exponent = (ToBits(x) >> 52) & 0x7ff;
  const Bits j = exponent < 1075 ? 0 : (exponent - 1075) >> 5;
  const double y = x * FromBits((1023 - 32 * j) << 52);
  const double* const row = kTwoOverPi[j];
  const Pair p0 = TwoProduct(y, row[0]);
  const Pair p1 = TwoProduct(y, row[1]);
  const Pair p2 = TwoProduct(y, row[2]);
  const double p3 = y * row[3];
  // p0.hi < 2^86, p0.lo and p1.hi < 2^33: without their multiples of 4.
  const double a = Fma(-4.0, Rint(0.25 * p0.hi), p0.hi);
  const double b = Fma(-4.0, Rint(0.25 * p0.lo), p0.lo);
  const double c = Fma(-4.0, Rint(0.25 * p1.hi), p1.hi);
  const Pair ab = TwoSum(a, b);
  const Pair abc = TwoSum(ab.hi, c);
  const double shifted = abc.hi + kRound;
  const double fraction = abc.hi - (shifted - kRound);
  // The remaining terms are below 2^-20; the largest comes first.
  const Pair middle = TwoSum(p1.lo, p2.hi);
  const Pair small = TwoSum(ab.lo, abc.lo);
  const Pair sum1 = TwoSum(fraction, middle.hi);
  const Pair sum2 = TwoSum(sum1.hi, small.hi);
  const double low = sum1.lo + sum2.lo + (middle.lo + small.lo + (p2.lo + p3));
  const Pair half_pi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
  const Pair angle = Multiply(half_pi, FastTwoSum(sum2.hi, low));
  // Already reduced: x itself, whose products above may be subnormal.
  const bool reduced = Abs(x) <= 0x1.921fb54442d18p-1;
  return {{reduced ? x : angle.hi, reduced ? 0.0 : angle.lo},
          reduced ? 0 : ToBits(shifted)};
}

// sin and cos of a reduced angle, to 2^-58. [minimax.py sin, cos]
struct SinCos {
  Pair sin;
  Pair cos;
};
ACTSERVE_MATH_INTERNAL SinCos SinCosOf(Pair angle) {
  const double x = angle.hi;
  const double z = x * x;
  double s = -0x1.aaa55ea857a65p-41;
  s = Fma(s, z, 0x1.612092e5a5d2cp-33);
  s = Fma(s, z, -0x1.ae6452989197ap-26);
  s = Fma(s, z, 0x1.71de3a5339aaep-19);
  s = Fma(s, z, -0x1.a01a01a018ae6p-13);
  s = Fma(s, z, 0x1.111111111110bp-7);
  s = Fma(s, z, -0x1.5555555555555p-3);
  double c = 0x1.aac5c235a4febp-45;
  c = Fma(c, z, -0x1.9393386f5d6b6p-37);
  c = Fma(c, z, 0x1.1eed8ca3d0e5bp-29);
  c = Fma(c, z, -0x1.27e4fb75fd979p-22);
  c = Fma(c, z, 0x1.a01a01a018debp-16);
  c = Fma(c, z, -0x1.6c16c16c16c10p-10);
  c = Fma(c, z, 0x1.5555555555555p-5);
  const double half_z = 0.5 * z;
  const Pair head = FastTwoSum(1.0, -half_z);
  const double sin_low = Fma(x * z, s, Fma(-half_z, angle.lo, angle.lo));
  const double cos_low = Fma(z * z, c, Fma(-x, angle.lo, head.lo));
  return {{x, sin_low}, {head.hi, cos_low}};
}

// sin(angle + quadrant pi/2).
ACTSERVE_MATH_INTERNAL double SinAt(Pair angle, Bits quadrant) {
  const SinCos both = SinCosOf(angle);
  const double sin = both.sin.hi + both.sin.lo;
  const double cos = both.cos.hi + both.cos.lo;
  const double value = (quadrant & 1) != 0 ? cos : sin;
  return FromBits(ToBits(value) ^ ((quadrant & 2) << 62));
}

}  // namespace actserve::f64

// sin(x), x in radians. NaN and +-inf: NaN, +-0: +-0. 0.76 ulp.
ACTSERVE_MATH double actserve_sin_f64(double x) {
  using namespace actserve::f64;
  const Reduced reduced = ReduceAngle(x);
  const double sin = SinAt(reduced.angle, reduced.quadrant);
  return Abs(x) < 0x1p-27 ? x : sin;
}

// cos(x), x in radians. NaN and +-inf: NaN, +-0: 1. 0.75 ulp.
ACTSERVE_MATH double actserve_cos_f64(double x) {
  using namespace actserve::f64;
  const Reduced reduced = ReduceAngle(x);
  return SinAt(reduced.angle, reduced.quadrant + 1);
}

// tan(x), x in radians. NaN and +-inf: NaN, +-0: +-0. 0.89 ulp.
ACTSERVE_MATH double actserve_tan_f64(double x) {
  using namespace actserve::f64;
  const Reduced reduced = ReduceAngle(x);
  const SinCos both = SinCosOf(reduced.angle);
  const Pair sin = FastTwoSum(both.sin.hi, both.sin.lo);
  const Pair cos = FastTwoSum(both.cos.hi, both.cos.lo);
  // In the odd quadrants -cos/sin.
  const bool odd = (reduced.quadrant & 1) != 0;
  const Pair numerator = {odd ? -cos.hi : sin.hi, odd ? -cos.lo : sin.lo};
  const Pair denominator = {odd ? sin.hi : cos.hi, odd ? sin.lo : cos.lo};
  const Pair tan = Divide(numerator, denominator, 1.0 / denominator.hi);
  return Abs(x) < 0x1p-27 ? x : tan.hi + tan.lo;
}

#endif  // ACTSERVE_KERNELS_MATH_F64_TRIG_H_
