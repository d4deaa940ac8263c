// What the row ops that give a number for each element do to a row. A template,
// so that the interpreter runs the same on any number type.

#ifndef ACTSERVE_KERNELS_GRAPH_ROW_MOVES_H_
#define ACTSERVE_KERNELS_GRAPH_ROW_MOVES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "absl/types/span.h"
#include "kernels/graph/op.h"

namespace actserve {

// Where the elements of a row go by falling keys: element order[0] is the
// first. NaN is before all numbers; equal keys keep their order.
template <typename T>
std::vector<int64_t> FallingOrder(absl::Span<const T> keys) {
  std::vector<int64_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  // A number is below infinity or it; NaN is neither.
  const T zero(0.0), one(1.0);
  const auto is_nan = [&](const T& number) {
    return !(number < one) && !(zero < number);
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (is_nan(keys[a]) || is_nan(keys[b])) {
      return is_nan(keys[a]) && !is_nan(keys[b]);
    }
    return keys[b] < keys[a];
  });
  return order;
}

// Applies `op`, one of IsByElement() but kRowIndex, to its operands; ops of one
// operand ignore `b`. Wide is the type that a scan computes in. `to` must not
// overlap the operands.
template <typename T, typename Wide>
void ApplyByElement(Op op, absl::Span<const T> a, absl::Span<const T> b,
                    absl::Span<T> to) {
  const size_t size = to.size();
  switch (op) {
    case Op::kRowSort:
    case Op::kRowUnsort: {
      const std::vector<int64_t> order = FallingOrder(a);
      for (size_t i = 0; i < size; ++i) {
        if (op == Op::kRowSort) {
          to[i] = b[order[i]];
        } else {
          to[order[i]] = b[i];
        }
      }
      break;
    }
    case Op::kRowScan:
    case Op::kRowScanBack: {
      Wide sum(0.0);
      for (size_t n = 0; n < size; ++n) {
        const size_t i = op == Op::kRowScan ? n : size - 1 - n;
        // The factor of the first element has nothing to multiply.
        sum = n == 0 ? Wide(b[i]) : Wide(a[i]) * sum + Wide(b[i]);
        to[i] = static_cast<T>(sum);
      }
      break;
    }
    case Op::kRowShift:
      for (size_t i = 0; i < size; ++i) to[i] = i == 0 ? T(0.0) : a[i - 1];
      break;
    default:
      for (size_t i = 0; i < size; ++i) {
        to[i] = i + 1 == size ? T(0.0) : a[i + 1];
      }
  }
}

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_ROW_MOVES_H_
