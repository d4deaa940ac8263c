// Compiled twice: as it is, and by clang with ACTSERVE_LOOPS_BY_CLANG (see
// CMakeLists.txt).

#include "kernels/math/testing/loops.h"

#include "kernels/math/math.h"

namespace actserve::testing {
namespace {

template <typename T, T (*f)(T)>
void Unary(const T* x, T* y, int count) {
  for (int i = 0; i < count; ++i) y[i] = f(x[i]);
}
template <typename T, T (*f)(T, T)>
void Binary(const T* x, T* y, int count) {
  for (int i = 0; i < count; ++i) y[i] = f(x[i], x[count - 1 - i]);
}

const Loop<float> kF32[] = {
    {"exp", Unary<float, actserve_exp_f32>},
    {"exp2", Unary<float, actserve_exp2_f32>},
    {"expm1", Unary<float, actserve_expm1_f32>},
    {"exp_minus_square", Unary<float, actserve_exp_minus_square_f32>},
    {"log", Unary<float, actserve_log_f32>},
    {"log2", Unary<float, actserve_log2_f32>},
    {"log10", Unary<float, actserve_log10_f32>},
    {"log1p", Unary<float, actserve_log1p_f32>},
    {"sin", Unary<float, actserve_sin_f32>},
    {"cos", Unary<float, actserve_cos_f32>},
    {"tan", Unary<float, actserve_tan_f32>},
    {"asin", Unary<float, actserve_asin_f32>},
    {"acos", Unary<float, actserve_acos_f32>},
    {"atan", Unary<float, actserve_atan_f32>},
    {"sinh", Unary<float, actserve_sinh_f32>},
    {"cosh", Unary<float, actserve_cosh_f32>},
    {"tanh", Unary<float, actserve_tanh_f32>},
    {"asinh", Unary<float, actserve_asinh_f32>},
    {"acosh", Unary<float, actserve_acosh_f32>},
    {"atanh", Unary<float, actserve_atanh_f32>},
    {"erf", Unary<float, actserve_erf_f32>},
    {"erfc", Unary<float, actserve_erfc_f32>},
    {"sigmoid", Unary<float, actserve_sigmoid_f32>},
    {"sigmoid_grad", Unary<float, actserve_sigmoid_grad_f32>},
    {"softplus", Unary<float, actserve_softplus_f32>},
    {"logsigmoid", Unary<float, actserve_logsigmoid_f32>},
    {"sech2", Unary<float, actserve_sech2_f32>},
    {"tanhshrink", Unary<float, actserve_tanhshrink_f32>},
    {"normcdf", Unary<float, actserve_normcdf_f32>},
    {"normpdf", Unary<float, actserve_normpdf_f32>},
    {"silu", Unary<float, actserve_silu_f32>},
    {"silu_grad", Unary<float, actserve_silu_grad_f32>},
    {"gelu", Unary<float, actserve_gelu_f32>},
    {"gelu_grad", Unary<float, actserve_gelu_grad_f32>},
    {"gelu_tanh", Unary<float, actserve_gelu_tanh_f32>},
    {"gelu_tanh_grad", Unary<float, actserve_gelu_tanh_grad_f32>},
    {"mish", Unary<float, actserve_mish_f32>},
    {"mish_grad", Unary<float, actserve_mish_grad_f32>},
    {"floormod1", Unary<float, actserve_floormod1_f32>},
    {"pow", Binary<float, actserve_pow_f32>},
    {"atan2", Binary<float, actserve_atan2_f32>},
    {"scaled_silu", Binary<float, actserve_scaled_silu_f32>},
    {"scaled_silu_grad", Binary<float, actserve_scaled_silu_grad_f32>},
    {"fmod", Binary<float, actserve_fmod_f32>},
    {"floormod", Binary<float, actserve_floormod_f32>},
    {"floordiv", Binary<float, actserve_floordiv_f32>},
    {nullptr, nullptr},
};

const Loop<double> kF64[] = {
    {"exp", Unary<double, actserve_exp_f64>},
    {"exp2", Unary<double, actserve_exp2_f64>},
    {"expm1", Unary<double, actserve_expm1_f64>},
    {"exp_minus_square", Unary<double, actserve_exp_minus_square_f64>},
    {"log", Unary<double, actserve_log_f64>},
    {"log2", Unary<double, actserve_log2_f64>},
    {"log10", Unary<double, actserve_log10_f64>},
    {"log1p", Unary<double, actserve_log1p_f64>},
    {"sin", Unary<double, actserve_sin_f64>},
    {"cos", Unary<double, actserve_cos_f64>},
    {"tan", Unary<double, actserve_tan_f64>},
    {"asin", Unary<double, actserve_asin_f64>},
    {"acos", Unary<double, actserve_acos_f64>},
    {"atan", Unary<double, actserve_atan_f64>},
    {"sinh", Unary<double, actserve_sinh_f64>},
    {"cosh", Unary<double, actserve_cosh_f64>},
    {"tanh", Unary<double, actserve_tanh_f64>},
    {"asinh", Unary<double, actserve_asinh_f64>},
    {"acosh", Unary<double, actserve_acosh_f64>},
    {"atanh", Unary<double, actserve_atanh_f64>},
    {"erf", Unary<double, actserve_erf_f64>},
    {"erfc", Unary<double, actserve_erfc_f64>},
    {"sigmoid", Unary<double, actserve_sigmoid_f64>},
    {"sigmoid_grad", Unary<double, actserve_sigmoid_grad_f64>},
    {"softplus", Unary<double, actserve_softplus_f64>},
    {"logsigmoid", Unary<double, actserve_logsigmoid_f64>},
    {"sech2", Unary<double, actserve_sech2_f64>},
    {"tanhshrink", Unary<double, actserve_tanhshrink_f64>},
    {"normcdf", Unary<double, actserve_normcdf_f64>},
    {"normpdf", Unary<double, actserve_normpdf_f64>},
    {"silu", Unary<double, actserve_silu_f64>},
    {"silu_grad", Unary<double, actserve_silu_grad_f64>},
    {"gelu", Unary<double, actserve_gelu_f64>},
    {"gelu_grad", Unary<double, actserve_gelu_grad_f64>},
    {"gelu_tanh", Unary<double, actserve_gelu_tanh_f64>},
    {"gelu_tanh_grad", Unary<double, actserve_gelu_tanh_grad_f64>},
    {"mish", Unary<double, actserve_mish_f64>},
    {"mish_grad", Unary<double, actserve_mish_grad_f64>},
    {"floormod1", Unary<double, actserve_floormod1_f64>},
    {"pow", Binary<double, actserve_pow_f64>},
    {"atan2", Binary<double, actserve_atan2_f64>},
    {"scaled_silu", Binary<double, actserve_scaled_silu_f64>},
    {"scaled_silu_grad", Binary<double, actserve_scaled_silu_grad_f64>},
    {"fmod", Binary<double, actserve_fmod_f64>},
    {"floormod", Binary<double, actserve_floormod_f64>},
    {"floordiv", Binary<double, actserve_floordiv_f64>},
    {nullptr, nullptr},
};

}  // namespace

#ifdef ACTSERVE_LOOPS_BY_CLANG
const Loop<float>* ClangF32() { return kF32; }
const Loop<double>* ClangF64() { return kF64; }
#else
const Loop<float>* ProjectCompilerF32() { return kF32; }
const Loop<double>* ProjectCompilerF64() { return kF64; }
#endif

}  // namespace actserve::testing
