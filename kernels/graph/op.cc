#include "kernels/graph/op.h"

#include <cassert>

#include "kernels/math/math.h"

namespace actserve {
namespace {

// Rows of the functions of one and of two operands.
OpInfo Function1(Op op, std::string_view name, int weight, float (*f32)(float),
                 double (*f64)(double)) {
  return {op, name, 1, false, weight, f32, f64, nullptr, nullptr};
}
OpInfo Function2(Op op, std::string_view name, int weight,
                 float (*f32)(float, float), double (*f64)(double, double)) {
  return {op, name, 2, false, weight, nullptr, nullptr, f32, f64};
}

// The weights are LLVM instructions after inlining, the larger of the float and
// the double function: what they bound is the time that a compiler takes.
std::vector<OpInfo> MakeTable() {
  return {
      {Op::kInput, "input", 0, false, 0},
      {Op::kParameter, "parameter", 0, false, 0},
      {Op::kConstant, "constant", 0, false, 0},
      {Op::kBool, "bool", 0, true, 0},
      {Op::kAdd, "add", 2, false, 1},
      {Op::kSub, "sub", 2, false, 1},
      {Op::kMul, "mul", 2, false, 1},
      {Op::kDiv, "div", 2, false, 1},
      {Op::kNeg, "neg", 1, false, 1},
      {Op::kAbs, "abs", 1, false, 1},
      {Op::kFloor, "floor", 1, false, 1},
      {Op::kCeil, "ceil", 1, false, 1},
      {Op::kRound, "round", 1, false, 1},
      {Op::kTrunc, "trunc", 1, false, 1},
      {Op::kSign, "sign", 1, false, 4},
      {Op::kSqrt, "sqrt", 1, false, 1},
      {Op::kMin, "min", 2, false, 4},
      {Op::kMax, "max", 2, false, 4},
      Function2(Op::kFloorMod, "floormod", 70, actserve_floormod_f32,
                actserve_floormod_f64),
      Function1(Op::kFloorMod1, "floormod1", 3, actserve_floormod1_f32,
                actserve_floormod1_f64),
      Function2(Op::kFloorDiv, "floordiv", 83, actserve_floordiv_f32,
                actserve_floordiv_f64),
      Function2(Op::kFmod, "fmod", 59, actserve_fmod_f32, actserve_fmod_f64),
      {Op::kLess, "less", 2, true, 1},
      {Op::kLessEqual, "less_equal", 2, true, 1},
      {Op::kEqual, "equal", 2, true, 1},
      {Op::kNotEqual, "not_equal", 2, true, 1},
      {Op::kAnd, "and", 2, true, 1},
      {Op::kOr, "or", 2, true, 1},
      {Op::kNot, "not", 1, true, 1},
      {Op::kSelect, "select", 3, false, 1},
      {Op::kDeclared, "declared", 2, false, 0},
      Function1(Op::kExp, "exp", 40, actserve_exp_f32, actserve_exp_f64),
      Function1(Op::kExp2, "exp2", 42, actserve_exp2_f32, actserve_exp2_f64),
      Function1(Op::kExpm1, "expm1", 46, actserve_expm1_f32,
                actserve_expm1_f64),
      Function1(Op::kLog, "log", 49, actserve_log_f32, actserve_log_f64),
      Function1(Op::kLog2, "log2", 56, actserve_log2_f32, actserve_log2_f64),
      Function1(Op::kLog10, "log10", 58, actserve_log10_f32,
                actserve_log10_f64),
      Function1(Op::kLog1p, "log1p", 63, actserve_log1p_f32,
                actserve_log1p_f64),
      Function1(Op::kSin, "sin", 137, actserve_sin_f32, actserve_sin_f64),
      Function1(Op::kCos, "cos", 136, actserve_cos_f32, actserve_cos_f64),
      Function1(Op::kTan, "tan", 149, actserve_tan_f32, actserve_tan_f64),
      Function1(Op::kAsin, "asin", 38, actserve_asin_f32, actserve_asin_f64),
      Function1(Op::kAcos, "acos", 43, actserve_acos_f32, actserve_acos_f64),
      Function1(Op::kAtan, "atan", 59, actserve_atan_f32, actserve_atan_f64),
      Function1(Op::kSinh, "sinh", 57, actserve_sinh_f32, actserve_sinh_f64),
      Function1(Op::kCosh, "cosh", 47, actserve_cosh_f32, actserve_cosh_f64),
      Function1(Op::kTanh, "tanh", 60, actserve_tanh_f32, actserve_tanh_f64),
      Function1(Op::kAsinh, "asinh", 75, actserve_asinh_f32,
                actserve_asinh_f64),
      Function1(Op::kAcosh, "acosh", 70, actserve_acosh_f32,
                actserve_acosh_f64),
      Function1(Op::kAtanh, "atanh", 82, actserve_atanh_f32,
                actserve_atanh_f64),
      Function1(Op::kErf, "erf", 122, actserve_erf_f32, actserve_erf_f64),
      Function1(Op::kErfc, "erfc", 108, actserve_erfc_f32, actserve_erfc_f64),
      Function2(Op::kPow, "pow", 167, actserve_pow_f32, actserve_pow_f64),
      Function2(Op::kAtan2, "atan2", 83, actserve_atan2_f32,
                actserve_atan2_f64),
      Function1(Op::kSigmoid, "sigmoid", 53, actserve_sigmoid_f32,
                actserve_sigmoid_f64),
      Function1(Op::kSigmoidGrad, "sigmoid_grad", 45, actserve_sigmoid_grad_f32,
                actserve_sigmoid_grad_f64),
      Function1(Op::kSoftplus, "softplus", 93, actserve_softplus_f32,
                actserve_softplus_f64),
      Function1(Op::kLogSigmoid, "logsigmoid", 95, actserve_logsigmoid_f32,
                actserve_logsigmoid_f64),
      Function1(Op::kSech2, "sech2", 47, actserve_sech2_f32,
                actserve_sech2_f64),
      Function1(Op::kTanhshrink, "tanhshrink", 83, actserve_tanhshrink_f32,
                actserve_tanhshrink_f64),
      Function1(Op::kNormCdf, "normcdf", 112, actserve_normcdf_f32,
                actserve_normcdf_f64),
      Function1(Op::kNormPdf, "normpdf", 53, actserve_normpdf_f32,
                actserve_normpdf_f64),
      Function1(Op::kExpMinusSquare, "exp_minus_square", 44,
                actserve_exp_minus_square_f32, actserve_exp_minus_square_f64),
      Function1(Op::kSilu, "silu", 56, actserve_silu_f32, actserve_silu_f64),
      Function1(Op::kSiluGrad, "silu_grad", 63, actserve_silu_grad_f32,
                actserve_silu_grad_f64),
      Function2(Op::kScaledSilu, "scaled_silu", 82, actserve_scaled_silu_f32,
                actserve_scaled_silu_f64),
      Function2(Op::kScaledSiluGrad, "scaled_silu_grad", 70,
                actserve_scaled_silu_grad_f32, actserve_scaled_silu_grad_f64),
      Function1(Op::kGelu, "gelu", 119, actserve_gelu_f32, actserve_gelu_f64),
      Function1(Op::kGeluGrad, "gelu_grad", 104, actserve_gelu_grad_f32,
                actserve_gelu_grad_f64),
      Function1(Op::kGeluTanh, "gelu_tanh", 87, actserve_gelu_tanh_f32,
                actserve_gelu_tanh_f64),
      Function1(Op::kGeluTanhGrad, "gelu_tanh_grad", 96,
                actserve_gelu_tanh_grad_f32, actserve_gelu_tanh_grad_f64),
      Function1(Op::kMish, "mish", 64, actserve_mish_f32, actserve_mish_f64),
      Function1(Op::kMishGrad, "mish_grad", 79, actserve_mish_grad_f32,
                actserve_mish_grad_f64),
  };
}

}  // namespace

const std::vector<OpInfo>& AllOps() {
  static const auto* const table = [] {
    auto* rows = new std::vector<OpInfo>(MakeTable());
    assert(rows->size() == static_cast<size_t>(Op::kNumOps));
    for (size_t i = 0; i < rows->size(); ++i) {
      assert((*rows)[i].op == static_cast<Op>(i));
    }
    return rows;
  }();
  return *table;
}

std::optional<Op> FindOp(std::string_view name) {
  for (const OpInfo& info : AllOps()) {
    if (info.name == name) return info.op;
  }
  return std::nullopt;
}

const OpInfo& Info(Op op) { return AllOps()[static_cast<size_t>(op)]; }

}  // namespace actserve
