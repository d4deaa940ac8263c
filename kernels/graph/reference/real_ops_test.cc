#include "kernels/graph/reference/real_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOfRow;
using testing::Real;
using testing::SmoothPoints;
using testing::ValueAt;

// The accuracy of the functions is held by the tests of kernels/math; this
// finds a row without a reference, or with that of another op.
TEST(RealOps, EveryRowHasAReferenceThatIsItsValue) {
  for (const OpInfo& info : AllOps()) {
    if (info.arity == 0 || info.returns_bool || info.reads_row) continue;
    SCOPED_TRACE(std::string(info.name));
    const Graph graph = GraphOfRow(info);
    int num_values = 0;
    for (const std::vector<double>& point : SmoothPoints(info)) {
      const double value = ValueAt<double>(graph, point);
      if (std::isnan(value)) continue;
      ++num_values;
      const std::vector<Real> at(point.begin(), point.end());
      EXPECT_NEAR(ValueAt<Real>(graph, at).ToDouble(), value,
                  1e-14 * std::fabs(value))
          << "at " << ::testing::PrintToString(point);
    }
    EXPECT_GT(num_values, 0);
  }
}

}  // namespace
}  // namespace actserve
