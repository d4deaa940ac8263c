#include "kernels/graph/interpret.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/graph/row_moves.h"
#include "kernels/graph/summation.h"

namespace actserve {
namespace {

// The ops that are an instruction or two, the same in both types.
template <typename T>
T ApplyInstruction(Op op, T a, T b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSub:
      return a - b;
    case Op::kMul:
      return a * b;
    case Op::kDiv:
      return a / b;
    case Op::kNeg:
      return -a;
    case Op::kAbs:
      return std::fabs(a);
    case Op::kFloor:
      return std::floor(a);
    case Op::kCeil:
      return std::ceil(a);
    case Op::kRound:
      return std::nearbyint(a);
    case Op::kTrunc:
      return std::trunc(a);
    case Op::kSign:
      return a > 0 ? T{1} : a < 0 ? T{-1} : a;
    case Op::kSqrt:
      return std::sqrt(a);
    case Op::kMin:
      return a < b || a != a ? a : b;
    case Op::kMax:
      return b < a || a != a ? a : b;
    default:
      assert(false);  // Every other op has a function in its row.
      return a;
  }
}

template <typename T>
bool CompareNumbers(Op op, T a, T b) {
  switch (op) {
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return a <= b;
    case Op::kEqual:
      return a == b;
    default:
      return a != b;
  }
}

template <typename T>
T Reduce(Op op, absl::Span<const T> row) {
  switch (op) {
    case Op::kRowSum:
      return static_cast<T>(Sum(row));
    case Op::kRowMax: {
      T max = -std::numeric_limits<T>::infinity();
      for (const T value : row) max = ApplyInstruction(Op::kMax, max, value);
      return max + T{0};
    }
    default:
      return static_cast<T>(row.size());
  }
}

template <typename T>
std::vector<T> ApplyOpToRow(Op op, absl::Span<const T> a,
                            absl::Span<const T> b) {
  std::vector<T> result(a.size());
  if (op == Op::kRowIndex) {
    std::iota(result.begin(), result.end(), T{0});
  } else if (IsByElement(op)) {
    ApplyByElement<T, double>(op, a, b, absl::MakeSpan(result));
  } else {
    std::fill(result.begin(), result.end(), Reduce(op, a));
  }
  return result;
}

}  // namespace

float NumberOps<float>::Apply(Op op, float a, float b) {
  const OpInfo& info = Info(op);
  if (info.f32_1 != nullptr) return info.f32_1(a);
  if (info.f32_2 != nullptr) return info.f32_2(a, b);
  return ApplyInstruction(op, a, b);
}

double NumberOps<double>::Apply(Op op, double a, double b) {
  const OpInfo& info = Info(op);
  if (info.f64_1 != nullptr) return info.f64_1(a);
  if (info.f64_2 != nullptr) return info.f64_2(a, b);
  return ApplyInstruction(op, a, b);
}

float NumberOps<float>::Draw(Op op, const DrawOperands& operands) {
  return Info(op).f32_draw(operands.seed, operands.stream, operands.element);
}

double NumberOps<double>::Draw(Op op, const DrawOperands& operands) {
  return Info(op).f64_draw(operands.seed, operands.stream, operands.element);
}

bool NumberOps<float>::Compare(Op op, float a, float b) {
  return CompareNumbers(op, a, b);
}

bool NumberOps<double>::Compare(Op op, double a, double b) {
  return CompareNumbers(op, a, b);
}

std::vector<float> NumberOps<float>::ApplyToRow(Op op,
                                                absl::Span<const float> a,
                                                absl::Span<const float> b) {
  return ApplyOpToRow(op, a, b);
}

std::vector<double> NumberOps<double>::ApplyToRow(Op op,
                                                  absl::Span<const double> a,
                                                  absl::Span<const double> b) {
  return ApplyOpToRow(op, a, b);
}

}  // namespace actserve
