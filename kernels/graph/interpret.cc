#include "kernels/graph/interpret.h"

#include <cassert>
#include <cmath>
#include <limits>

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
T ApplyOpToRow(Op op, absl::Span<const T> row) {
  switch (op) {
    case Op::kRowSum: {
      std::vector<double> tiles;
      for (size_t i = 0; i < row.size(); i += kSumTileElements) {
        tiles.push_back(SumTile(row.subspan(i, kSumTileElements)));
      }
      return static_cast<T>(SumTiles(absl::MakeSpan(tiles)));
    }
    case Op::kRowMax: {
      T max = -std::numeric_limits<T>::infinity();
      for (const T value : row) max = ApplyInstruction(Op::kMax, max, value);
      return max + T{0};
    }
    default:
      return static_cast<T>(row.size());
  }
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

bool NumberOps<float>::Compare(Op op, float a, float b) {
  return CompareNumbers(op, a, b);
}

bool NumberOps<double>::Compare(Op op, double a, double b) {
  return CompareNumbers(op, a, b);
}

float NumberOps<float>::ApplyToRow(Op op, absl::Span<const float> row) {
  return ApplyOpToRow(op, row);
}

double NumberOps<double>::ApplyToRow(Op op, absl::Span<const double> row) {
  return ApplyOpToRow(op, row);
}

}  // namespace actserve
