#include "kernels/graph/op.h"

#include <array>
#include <cassert>

#include "kernels/math/math.h"

namespace actserve {
namespace {

// Derivatives that take more than a line. Where one clamps x, the other factor
// is 0 in float64 too beyond the bound: clamping changes no result and keeps
// 0 * inf away.

// 1 / (x*x + 1) and 1 / sqrt(x*x + 1), where x*x does not overflow.
constexpr std::string_view kAtanSlope =
    "far = 1e9 < abs(x)\n"
    "r = 1 / (x if far else x * x + 1)\n"
    "r * r if far else r";
constexpr std::string_view kAsinhSlope =
    "1 / (abs(x) if 1e9 < abs(x) else sqrt(x * x + 1))";

// s' (2 - v tanh(v / 2)), s the logistic function and v = x, or b a: in
// u = |v| and q = exp(-u), q (2 - u + q (2 + u)) / (1 + q)^3.
constexpr std::string_view kSiluCurvature =
    "u = min(abs(x), 800)\n"
    "q = exp(-u)\n"
    "q * (2 - u + q * (2 + u)) / ((1 + q * (2 + q)) * (1 + q))";
constexpr std::string_view kScaledSiluGradInA =
    "u = min(abs(b * a), 800)\n"
    "q = exp(-u)\n"
    "q * (2 - u + q * (2 + u)) / ((1 + q * (2 + q)) * (1 + q)) * b";
constexpr std::string_view kScaledSiluGradInB =
    "u = min(abs(b * a), 800)\n"
    "q = exp(-u)\n"
    "q * (2 - u + q * (2 + u)) / ((1 + q * (2 + q)) * (1 + q)) * a";

// phi(x) (2 - x^2)
constexpr std::string_view kGeluCurvature =
    "u = min(max(x, -40), 40)\n"
    "normpdf(x) * (2 - u * u)";

// With k = 2 sqrt(2/pi), c = 0.044715, v = k (x + c x^3) and s' = s'(v):
// s' (2 v' + x v'' - x v'^2 tanh(v / 2)), v' = k (1 + 3 c x^2),
// v'' = 6 k c x.
constexpr std::string_view kGeluTanhCurvature =
    "u = min(max(x, -25), 25)\n"
    "k = 1.5957691216057308\n"
    "v = k * u * (1 + 0.044715 * (u * u))\n"
    "v1 = k + 3 * k * 0.044715 * (u * u)\n"
    "bend = 6 * k * 0.044715 * (u * u) - u * tanh(0.5 * v) * (v1 * v1)\n"
    "sigmoid_grad(v) * (2 * v1 + bend)";

// With e = exp(x) and d = e^2 + 2 e + 2:
// 4 e (2 (e + 1) d + x (2 + 2 e - 3 e^2 - 2 e^3)) / d^3, on the left in q = e,
// on the right in q = 1 / e; d = b + m, where m may be small. A choice instead
// of abs(u) keeps its slope at 0.
constexpr std::string_view kMishCurvature =
    "u = min(max(x, -800), 800)\n"
    "left = u < 0\n"
    "q = exp(u if left else -u)\n"
    "b = 2 if left else 1\n"
    "m = q * (2 + q) if left else 2 * q * (1 + q)\n"
    "cube = b * b * b + m * (3 * b * b + m * (3 * b + m))\n"
    "p = 2 + q * (2 - q * (3 + 2 * q)) if left else "
    "2 * q * q * (1 + q) - 3 * q - 2\n"
    "4 * (q if left else q * q) * (2 * (1 + q) * (b + m) + u * p) / cube";

// A row of an op that returns a number and that the syntax spells.
OpInfo Syntax(Op op, std::string_view name, int arity, int weight) {
  return {.op = op, .name = name, .arity = arity, .weight = weight};
}

OpInfo Boolean(Op op, std::string_view name, int arity) {
  return {.op = op,
          .name = name,
          .arity = arity,
          .returns_bool = true,
          .weight = 1};
}

// A row of a function of one operand that devices have as an instruction.
OpInfo Instruction(Op op, std::string_view name, int weight,
                   std::string_view partial) {
  return {.op = op,
          .name = name,
          .arity = 1,
          .callable = true,
          .weight = weight,
          .partials = {partial}};
}

// Rows of the functions of kernels/math, of one and of two operands; nullptr
// where devices have an instruction.
OpInfo Function1(Op op, std::string_view name, int weight, float (*f32)(float),
                 double (*f64)(double), std::string_view partial) {
  OpInfo row = Instruction(op, name, weight, partial);
  row.f32_1 = f32;
  row.f64_1 = f64;
  return row;
}
OpInfo Function2(Op op, std::string_view name, int weight,
                 float (*f32)(float, float), double (*f64)(double, double),
                 std::array<std::string_view, 2> partials) {
  return {.op = op,
          .name = name,
          .arity = 2,
          .callable = true,
          .weight = weight,
          .partials = partials,
          .f32_2 = f32,
          .f64_2 = f64};
}

OpInfo Draw(Op op, std::string_view name, int weight,
            float (*f32)(unsigned long long, unsigned, unsigned long long),
            double (*f64)(unsigned long long, unsigned, unsigned long long)) {
  return {.op = op,
          .name = name,
          .arity = 2,
          .callable = true,
          .weight = weight,
          .partials = {"0", "0"},
          .f32_draw = f32,
          .f64_draw = f64};
}

OpInfo OfRow(Op op, std::string_view name, int arity) {
  return {.op = op,
          .name = name,
          .arity = arity,
          .callable = true,
          .reads_row = true,
          .weight = 4};
}

// `row` for a function that the syntax spells.
OpInfo NotCallable(OpInfo row) {
  row.callable = false;
  return row;
}

// The weights are LLVM instructions after inlining, the larger of the float and
// the double function: what they bound is the time that a compiler takes.
std::vector<OpInfo> MakeTable() {
  return {
      {.op = Op::kInput, .name = "input"},
      {.op = Op::kParameter, .name = "parameter"},
      {.op = Op::kConstant, .name = "constant"},
      {.op = Op::kBool, .name = "bool", .returns_bool = true},
      Syntax(Op::kAdd, "add", 2, 1),
      Syntax(Op::kSub, "sub", 2, 1),
      Syntax(Op::kMul, "mul", 2, 1),
      Syntax(Op::kDiv, "div", 2, 1),
      Syntax(Op::kNeg, "neg", 1, 1),
      Instruction(Op::kAbs, "abs", 1, "sign(x)"),
      Instruction(Op::kFloor, "floor", 1, "0"),
      Instruction(Op::kCeil, "ceil", 1, "0"),
      Instruction(Op::kRound, "round", 1, "0"),
      Instruction(Op::kTrunc, "trunc", 1, "0"),
      Instruction(Op::kSign, "sign", 4, "0"),
      Instruction(Op::kSqrt, "sqrt", 1, "0.5 / y"),
      Function2(Op::kMin, "min", 4, nullptr, nullptr, {}),
      Function2(Op::kMax, "max", 4, nullptr, nullptr, {}),
      NotCallable(Function2(Op::kFloorMod, "floormod", 70,
                            actserve_floormod_f32, actserve_floormod_f64,
                            {"1", "-(a // b)"})),
      Function1(Op::kFloorMod1, "floormod1", 3, actserve_floormod1_f32,
                actserve_floormod1_f64, "1"),
      NotCallable(Function2(Op::kFloorDiv, "floordiv", 83,
                            actserve_floordiv_f32, actserve_floordiv_f64,
                            {"0", "0"})),
      Function2(Op::kFmod, "fmod", 59, actserve_fmod_f32, actserve_fmod_f64,
                {"1", "-trunc(a / b)"}),
      Boolean(Op::kLess, "less", 2),
      Boolean(Op::kLessEqual, "less_equal", 2),
      Boolean(Op::kEqual, "equal", 2),
      Boolean(Op::kNotEqual, "not_equal", 2),
      Boolean(Op::kAnd, "and", 2),
      Boolean(Op::kOr, "or", 2),
      Boolean(Op::kNot, "not", 1),
      Syntax(Op::kSelect, "select", 3, 1),
      Syntax(Op::kDeclared, "declared", 2, 0),
      Function1(Op::kExp, "exp", 40, actserve_exp_f32, actserve_exp_f64, "y"),
      Function1(Op::kExp2, "exp2", 42, actserve_exp2_f32, actserve_exp2_f64,
                "y * 0.6931471805599453"),
      Function1(Op::kExpm1, "expm1", 46, actserve_expm1_f32, actserve_expm1_f64,
                "exp(x)"),
      Function1(Op::kLog, "log", 49, actserve_log_f32, actserve_log_f64,
                "1 / x"),
      Function1(Op::kLog2, "log2", 56, actserve_log2_f32, actserve_log2_f64,
                "1.4426950408889634 / x"),
      Function1(Op::kLog10, "log10", 58, actserve_log10_f32, actserve_log10_f64,
                "0.4342944819032518 / x"),
      Function1(Op::kLog1p, "log1p", 63, actserve_log1p_f32, actserve_log1p_f64,
                "1 / (x + 1)"),
      Function1(Op::kSin, "sin", 137, actserve_sin_f32, actserve_sin_f64,
                "cos(x)"),
      Function1(Op::kCos, "cos", 136, actserve_cos_f32, actserve_cos_f64,
                "-sin(x)"),
      Function1(Op::kTan, "tan", 149, actserve_tan_f32, actserve_tan_f64,
                "y * y + 1"),
      Function1(Op::kAsin, "asin", 38, actserve_asin_f32, actserve_asin_f64,
                "1 / sqrt((1 - x) * (1 + x))"),
      Function1(Op::kAcos, "acos", 43, actserve_acos_f32, actserve_acos_f64,
                "-1 / sqrt((1 - x) * (1 + x))"),
      Function1(Op::kAtan, "atan", 59, actserve_atan_f32, actserve_atan_f64,
                kAtanSlope),
      Function1(Op::kSinh, "sinh", 57, actserve_sinh_f32, actserve_sinh_f64,
                "cosh(x)"),
      Function1(Op::kCosh, "cosh", 47, actserve_cosh_f32, actserve_cosh_f64,
                "sinh(x)"),
      Function1(Op::kTanh, "tanh", 60, actserve_tanh_f32, actserve_tanh_f64,
                "sech2(x)"),
      Function1(Op::kAsinh, "asinh", 75, actserve_asinh_f32, actserve_asinh_f64,
                kAsinhSlope),
      Function1(Op::kAcosh, "acosh", 70, actserve_acosh_f32, actserve_acosh_f64,
                "1 / (sqrt(x - 1) * sqrt(x + 1))"),
      Function1(Op::kAtanh, "atanh", 82, actserve_atanh_f32, actserve_atanh_f64,
                "1 / ((1 - x) * (1 + x))"),
      Function1(Op::kErf, "erf", 122, actserve_erf_f32, actserve_erf_f64,
                "1.1283791670955126 * exp_minus_square(x)"),
      Function1(Op::kErfc, "erfc", 108, actserve_erfc_f32, actserve_erfc_f64,
                "-1.1283791670955126 * exp_minus_square(x)"),
      NotCallable(Function2(Op::kPow, "pow", 167, actserve_pow_f32,
                            actserve_pow_f64, {})),
      Function2(Op::kAtan2, "atan2", 83, actserve_atan2_f32, actserve_atan2_f64,
                {"b / (a * a + b * b)", "-(a / (a * a + b * b))"}),
      Function1(Op::kSigmoid, "sigmoid", 53, actserve_sigmoid_f32,
                actserve_sigmoid_f64, "sigmoid_grad(x)"),
      Function1(Op::kSigmoidGrad, "sigmoid_grad", 45, actserve_sigmoid_grad_f32,
                actserve_sigmoid_grad_f64, "-(y * tanh(0.5 * x))"),
      Function1(Op::kSoftplus, "softplus", 93, actserve_softplus_f32,
                actserve_softplus_f64, "sigmoid(x)"),
      Function1(Op::kLogSigmoid, "logsigmoid", 95, actserve_logsigmoid_f32,
                actserve_logsigmoid_f64, "sigmoid(-x)"),
      Function1(Op::kSech2, "sech2", 47, actserve_sech2_f32, actserve_sech2_f64,
                "-2 * (tanh(x) * y)"),
      Function1(Op::kTanhshrink, "tanhshrink", 83, actserve_tanhshrink_f32,
                actserve_tanhshrink_f64, "tanh(x) * tanh(x)"),
      Function1(Op::kNormCdf, "normcdf", 112, actserve_normcdf_f32,
                actserve_normcdf_f64, "normpdf(x)"),
      Function1(Op::kNormPdf, "normpdf", 53, actserve_normpdf_f32,
                actserve_normpdf_f64, "-(min(max(x, -40), 40) * y)"),
      Function1(Op::kExpMinusSquare, "exp_minus_square", 44,
                actserve_exp_minus_square_f32, actserve_exp_minus_square_f64,
                "-2 * min(max(x, -30), 30) * y"),
      Function1(Op::kSilu, "silu", 56, actserve_silu_f32, actserve_silu_f64,
                "silu_grad(x)"),
      Function1(Op::kSiluGrad, "silu_grad", 63, actserve_silu_grad_f32,
                actserve_silu_grad_f64, kSiluCurvature),
      Function2(Op::kScaledSilu, "scaled_silu", 82, actserve_scaled_silu_f32,
                actserve_scaled_silu_f64,
                {"scaled_silu_grad(a, b)", "a * (sigmoid_grad(b * a) * a)"}),
      Function2(Op::kScaledSiluGrad, "scaled_silu_grad", 70,
                actserve_scaled_silu_grad_f32, actserve_scaled_silu_grad_f64,
                {kScaledSiluGradInA, kScaledSiluGradInB}),
      Function1(Op::kGelu, "gelu", 119, actserve_gelu_f32, actserve_gelu_f64,
                "gelu_grad(x)"),
      Function1(Op::kGeluGrad, "gelu_grad", 104, actserve_gelu_grad_f32,
                actserve_gelu_grad_f64, kGeluCurvature),
      Function1(Op::kGeluTanh, "gelu_tanh", 87, actserve_gelu_tanh_f32,
                actserve_gelu_tanh_f64, "gelu_tanh_grad(x)"),
      Function1(Op::kGeluTanhGrad, "gelu_tanh_grad", 96,
                actserve_gelu_tanh_grad_f32, actserve_gelu_tanh_grad_f64,
                kGeluTanhCurvature),
      Function1(Op::kMish, "mish", 64, actserve_mish_f32, actserve_mish_f64,
                "mish_grad(x)"),
      Function1(Op::kMishGrad, "mish_grad", 79, actserve_mish_grad_f32,
                actserve_mish_grad_f64, kMishCurvature),
      Draw(Op::kUniform, "uniform", 125, actserve_uniform_f32,
           actserve_uniform_f64),
      Draw(Op::kNormal, "normal", 247, actserve_normal_f32,
           actserve_normal_f64),
      OfRow(Op::kRowSum, "rowsum", 1),
      OfRow(Op::kRowMax, "rowmax", 1),
      OfRow(Op::kRowSize, "rowsize", 1),
      OfRow(Op::kRowIndex, "rowindex", 1),
      OfRow(Op::kRowSort, "rowsort", 2),
      OfRow(Op::kRowUnsort, "rowunsort", 2),
      OfRow(Op::kRowScan, "rowscan", 2),
      OfRow(Op::kRowScanBack, "rowscanback", 2),
      OfRow(Op::kRowShift, "rowshift", 1),
      OfRow(Op::kRowShiftBack, "rowshiftback", 1),
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
