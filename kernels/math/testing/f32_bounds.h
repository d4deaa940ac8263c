// The largest error of each float function, as the headers state it: over all
// 2^32 floats, rounded up to a hundredth of an ulp (f32_full_test).

#ifndef ACTSERVE_KERNELS_MATH_TESTING_F32_BOUNDS_H_
#define ACTSERVE_KERNELS_MATH_TESTING_F32_BOUNDS_H_

#include <limits>
#include <string_view>

namespace actserve::testing {

// The error that a function may have.
struct F32Bound {
  const char* name;
  // In ulp of the result; for a gradient with a root, in ulp of the larger of
  // the two terms whose sum it is.
  double max_ulp;
};

inline constexpr F32Bound kF32Bounds[] = {
    {"exp", 0.88},       {"exp2", 0.88},
    {"expm1", 0.89},     {"exp_minus_square", 0.88},
    {"log", 0.93},       {"log2", 0.51},
    {"log10", 0.51},     {"log1p", 0.93},
    {"sin", 1.09},       {"cos", 1.09},
    {"tan", 0.51},       {"asin", 0.51},
    {"acos", 0.51},      {"atan", 0.51},
    {"sinh", 0.51},      {"cosh", 0.51},
    {"tanh", 0.98},      {"asinh", 0.51},
    {"acosh", 0.51},     {"atanh", 0.51},
    {"erf", 0.99},       {"erfc", 3.42},
    {"sigmoid", 2.45},   {"sigmoid_grad", 2.38},
    {"softplus", 2.22},  {"logsigmoid", 2.22},
    {"sech2", 2.38},     {"tanhshrink", 1.88},
    {"normcdf", 3.98},   {"normpdf", 1.19},
    {"silu", 2.45},      {"silu_grad", 2.86},
    {"gelu", 3.79},      {"gelu_grad", 3.23},
    {"gelu_tanh", 2.60}, {"gelu_tanh_grad", 3.61},
    {"mish", 3.93},      {"mish_grad", 3.92},
};

// NaN, which no error is below, if there is no row.
constexpr double F32MaxUlp(std::string_view name) {
  for (const F32Bound& bound : kF32Bounds) {
    if (name == bound.name) return bound.max_ulp;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_MATH_TESTING_F32_BOUNDS_H_
