// The op table: one row per operation of the graph.
//
// A new primitive is one row here (op.cc) plus its math (kernels/math) and its
// MPFR reference (graph/reference). Its name in texts, its arity, evaluation,
// weight, derivative and the symbols that compiled programs call all come from
// the row.

#ifndef ACTSERVE_KERNELS_GRAPH_OP_H_
#define ACTSERVE_KERNELS_GRAPH_OP_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace actserve {

// Reals unless said otherwise. Float semantics are IEEE 754's, rounding to
// nearest even, no contraction, subnormals kept.
enum class Op : uint8_t {
  // Leaves.
  kInput,      // index: which tensor input
  kParameter,  // index: which parameter
  kConstant,   // constant: rounded once to the type the program computes in
  kBool,       // constant: 0 or 1; boolean
  // Arithmetic that every device has as an instruction or two.
  kAdd,
  kSub,
  kMul,
  kDiv,
  kNeg,
  kAbs,
  kFloor,
  kCeil,
  kRound,  // half to even
  kTrunc,
  kSign,  // 1 if x > 0, -1 if x < 0, else x: keeps zeros and NaN
  kSqrt,
  kMin,        // a if a < b or a is NaN, else b: NaN if either is NaN
  kMax,        // a if b < a or a is NaN, else b: NaN if either is NaN
  kFloorMod,   // Python's %: sign of the divisor
  kFloorMod1,  // kFloorMod of x and 1: x - floor(x), never 1; +0 at integers
  kFloorDiv,   // Python's //
  kFmod,       // C's fmod: sign of the dividend
  // Comparisons: reals to boolean.
  kLess,
  kLessEqual,
  kEqual,
  kNotEqual,
  // Booleans.
  kAnd,
  kOr,
  kNot,
  // kSelect(condition, a, b): an inf or NaN in the operand that is not taken
  // never reaches the result.
  kSelect,
  // kDeclared(v, t): the value of v with the derivative of t, where an author
  // declared a gradient. kDeclared(v, 0) holds v constant for the derivative.
  // Only differentiate.h reads t; no lowered program has this op.
  kDeclared,
  // Functions of kernels/math, each a symbol `actserve_<name>_f32` / `_f64`.
  kExp,
  kExp2,
  kExpm1,
  kLog,
  kLog2,
  kLog10,
  kLog1p,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kTanh,
  kAsinh,
  kAcosh,
  kAtanh,
  kErf,
  kErfc,
  kPow,
  kAtan2,
  // Functions with a stable value over the whole range, where the usual
  // formula has not; s is the logistic function, Phi the normal distribution.
  kSigmoid,         // s(x) = 1/(1+exp(-x))
  kSigmoidGrad,     // s'(x) = s(x) s(-x)
  kSoftplus,        // log(1+exp(x))
  kLogSigmoid,      // -log(1+exp(-x))
  kSech2,           // 1 - tanh(x)^2 = tanh'(x)
  kTanhshrink,      // x - tanh(x)
  kNormCdf,         // Phi(x)
  kNormPdf,         // Phi'(x)
  kExpMinusSquare,  // exp(-x*x)
  kSilu,            // x s(x)
  kSiluGrad,
  kScaledSilu,      // (x, b): x s(b x)
  kScaledSiluGrad,  // (x, b): silu'(b x), the derivative in x
  kGelu,            // x Phi(x)
  kGeluGrad,
  kGeluTanh,  // x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
  kGeluTanhGrad,
  kMish,  // x tanh(log(1+exp(x)))
  kMishGrad,
  // Random numbers (seed, stream), a function of both and of the element's
  // place in its tensor (draws.h). Flat.
  kUniform,  // in [0, 1)
  kNormal,   // of mean 0 and variance 1
  // Of the whole row that an element is in; the same number for all its
  // elements. A row has any number of elements, also none.
  kRowSum,   // along the tree of summation.h; 0 of no element
  kRowMax,   // NaN if any is NaN, never -0; -inf of no element
  kRowSize,  // the number of elements; its operand does not matter
  // Of the whole row, a number for each of its elements.
  kRowIndex,      // 0, 1, ... along the row; its operand does not matter
  kRowSort,       // (key, v): v by falling keys, NaN first, ties as they were
  kRowUnsort,     // (key, v): puts back what kRowSort moved
  kRowScan,       // (a, b): s[i] = a[i] * s[i-1] + b[i], s[-1] is 0; in float64
  kRowScanBack,   // (a, b): s[i] = a[i] * s[i+1] + b[i], s[n] is 0; in float64
  kRowShift,      // v[i-1]; 0 at the first element
  kRowShiftBack,  // v[i+1]; 0 at the last element
  kNumOps,        // not an op
};

// One row of the op table: everything about an op but its math and reference.
struct OpInfo {
  Op op;
  // The name in printed graphs and, if the op is callable, in texts: "exp".
  std::string_view name;
  int arity = 0;
  bool returns_bool = false;
  // True if a text may call the op by its name. The others are spelled by the
  // syntax (`+`, `<`, `and`, `**`, `if`) or cannot be spelled.
  bool callable = false;
  // True if the op looks at all elements of a row.
  bool reads_row = false;
  // Cost in expanded operations, for the program weight limit.
  int weight = 0;
  // The derivative in each operand, as a text of the language: the last line
  // is the value, lines before it assign. The operands are x, or a and b; y is
  // the op's own value. "0" is flat. Empty for ops that return a boolean and
  // for those whose tangent differentiate.cc spells out.
  std::array<std::string_view, 2> partials = {};
  // Scalar functions of the shared math header, of 1 or 2 arguments, or
  // nullptr where the op is an instruction.
  float (*f32_1)(float) = nullptr;
  double (*f64_1)(double) = nullptr;
  float (*f32_2)(float, float) = nullptr;
  double (*f64_2)(double, double) = nullptr;
  // Of a draw: (seed, stream, the element's place).
  float (*f32_draw)(unsigned long long, unsigned, unsigned long long) = nullptr;
  double (*f64_draw)(unsigned long long, unsigned,
                     unsigned long long) = nullptr;
};

// The row of `op`. Never fails.
const OpInfo& Info(Op op);

// The op called `name`, if any.
std::optional<Op> FindOp(std::string_view name);

// True for a row op with a number for each element of its row.
constexpr bool IsByElement(Op op) {
  return op >= Op::kRowIndex && op <= Op::kRowShiftBack;
}

// True for a random number.
constexpr bool IsDraw(Op op) { return op == Op::kUniform || op == Op::kNormal; }

// True if operand `index` of `op` is a boolean.
constexpr bool TakesBool(Op op, int index) {
  return op == Op::kAnd || op == Op::kOr || op == Op::kNot ||
         (op == Op::kSelect && index == 0);
}

// All rows, in the order of the enum.
const std::vector<OpInfo>& AllOps();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_OP_H_
