#include "kernels/graph/op.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/graph/graph.h"
#include "kernels/graph/interpret.h"

namespace actserve {
namespace {

TEST(Op, RowsAreInTheOrderOfTheEnum) {
  ASSERT_EQ(AllOps().size(), static_cast<size_t>(Op::kNumOps));
  for (size_t i = 0; i < AllOps().size(); ++i) {
    EXPECT_EQ(AllOps()[i].op, static_cast<Op>(i));
  }
}

TEST(Op, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const OpInfo& info : AllOps()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(FindOp(info.name), info.op);
  }
}

TEST(Op, FunctionsComeInBothTypes) {
  for (const OpInfo& info : AllOps()) {
    EXPECT_EQ(info.f32_1 == nullptr, info.f64_1 == nullptr) << info.name;
    EXPECT_EQ(info.f32_2 == nullptr, info.f64_2 == nullptr) << info.name;
    const bool is_function = info.op >= Op::kExp && !info.reads_row;
    EXPECT_EQ(info.f32_draw == nullptr, info.f64_draw == nullptr) << info.name;
    EXPECT_EQ(info.f32_draw != nullptr, IsDraw(info.op)) << info.name;
    EXPECT_TRUE(!is_function || info.f32_1 != nullptr ||
                info.f32_2 != nullptr || info.f32_draw != nullptr)
        << info.name;
  }
}

TEST(Graph, SharesEqualNodes) {
  Graph graph;
  graph.inputs = {"x", "y"};
  const NodeId x = graph.Input(0), y = graph.Input(1);

  EXPECT_EQ(graph.Add(Op::kAdd, x, y), graph.Add(Op::kAdd, y, x));
  EXPECT_EQ(graph.Add(Op::kSub, x, y), graph.Add(Op::kSub, x, y));
  EXPECT_NE(graph.Add(Op::kSub, x, y), graph.Add(Op::kSub, y, x));
  EXPECT_EQ(graph.Input(0), x);
}

TEST(Graph, TellsZerosApartAndJoinsNaNs) {
  Graph graph;

  EXPECT_NE(graph.Constant(0.0), graph.Constant(-0.0));
  EXPECT_EQ(graph.Constant(__builtin_nan("")),
            graph.Constant(-__builtin_nan("")));
  EXPECT_FALSE(graph.is_constant(graph.Constant(-0.0), 0.0));
}

TEST(Graph, WeighsWhatOutputsNeed) {
  Graph graph;
  graph.inputs = {"x"};
  const NodeId x = graph.Input(0);
  graph.Add(Op::kExp, x);
  const NodeId square = graph.Add(Op::kMul, x, x);
  graph.outputs = {{"y", square}};

  EXPECT_EQ(graph.Weight(), Info(Op::kMul).weight);
}

// min and max as op.h defines them, zeros and NaN included.
TEST(Interpret, MinAndMaxPropagateNaN) {
  const double nan = __builtin_nan("");
  for (Op op : {Op::kMin, Op::kMax}) {
    EXPECT_TRUE(NumberOps<double>::Apply(op, nan, 1) !=
                NumberOps<double>::Apply(op, nan, 1));
    EXPECT_TRUE(NumberOps<double>::Apply(op, 1, nan) !=
                NumberOps<double>::Apply(op, 1, nan));
  }
}

}  // namespace
}  // namespace actserve
