#include "kernels/graph/op.h"

#include <cassert>

namespace actserve {
namespace {

// The weights are operations after inlining, counted in float64 and rounded;
// what they bound is the time that a compiler takes.
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
      {Op::kFloorMod, "floormod", 2, false, 40},
      {Op::kFloorMod1, "floormod1", 1, false, 6},
      {Op::kFloorDiv, "floordiv", 2, false, 40},
      {Op::kFmod, "fmod", 2, false, 40},
      {Op::kLess, "less", 2, true, 1},
      {Op::kLessEqual, "less_equal", 2, true, 1},
      {Op::kEqual, "equal", 2, true, 1},
      {Op::kNotEqual, "not_equal", 2, true, 1},
      {Op::kAnd, "and", 2, true, 1},
      {Op::kOr, "or", 2, true, 1},
      {Op::kNot, "not", 1, true, 1},
      {Op::kSelect, "select", 3, false, 1},
      {Op::kDeclared, "declared", 3, false, 0},
      {Op::kExp, "exp", 1, false, 20},
      {Op::kExp2, "exp2", 1, false, 20},
      {Op::kExpm1, "expm1", 1, false, 30},
      {Op::kLog, "log", 1, false, 30},
      {Op::kLog2, "log2", 1, false, 30},
      {Op::kLog10, "log10", 1, false, 30},
      {Op::kLog1p, "log1p", 1, false, 35},
      {Op::kSin, "sin", 1, false, 60},
      {Op::kCos, "cos", 1, false, 60},
      {Op::kTan, "tan", 1, false, 70},
      {Op::kAsin, "asin", 1, false, 40},
      {Op::kAcos, "acos", 1, false, 40},
      {Op::kAtan, "atan", 1, false, 40},
      {Op::kSinh, "sinh", 1, false, 40},
      {Op::kCosh, "cosh", 1, false, 40},
      {Op::kTanh, "tanh", 1, false, 35},
      {Op::kAsinh, "asinh", 1, false, 50},
      {Op::kAcosh, "acosh", 1, false, 50},
      {Op::kAtanh, "atanh", 1, false, 45},
      {Op::kErf, "erf", 1, false, 60},
      {Op::kErfc, "erfc", 1, false, 70},
      {Op::kPow, "pow", 2, false, 100},
      {Op::kAtan2, "atan2", 2, false, 60},
      {Op::kSigmoid, "sigmoid", 1, false, 25},
      {Op::kSigmoidGrad, "sigmoid_grad", 1, false, 25},
      {Op::kSoftplus, "softplus", 1, false, 55},
      {Op::kLogSigmoid, "logsigmoid", 1, false, 55},
      {Op::kSech2, "sech2", 1, false, 25},
      {Op::kTanhshrink, "tanhshrink", 1, false, 50},
      {Op::kNormCdf, "normcdf", 1, false, 70},
      {Op::kNormPdf, "normpdf", 1, false, 35},
      {Op::kExpMinusSquare, "exp_minus_square", 1, false, 30},
      {Op::kSilu, "silu", 1, false, 30},
      {Op::kSiluGrad, "silu_grad", 1, false, 35},
      {Op::kGelu, "gelu", 1, false, 80},
      {Op::kGeluGrad, "gelu_grad", 1, false, 110},
      {Op::kGeluTanh, "gelu_tanh", 1, false, 40},
      {Op::kGeluTanhGrad, "gelu_tanh_grad", 1, false, 50},
      {Op::kMish, "mish", 1, false, 35},
      {Op::kMishGrad, "mish_grad", 1, false, 45},
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

const OpInfo& Info(Op op) { return AllOps()[static_cast<size_t>(op)]; }

}  // namespace actserve
