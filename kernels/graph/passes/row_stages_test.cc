#include "kernels/graph/passes/row_stages.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/graph/derive/pull_back.h"
#include "kernels/graph/interpret.h"
#include "kernels/graph/testing/graphs.h"

namespace actserve {
namespace {

using testing::GraphOf;
using testing::SameBits;

constexpr char kSoftmax[] =
    "def f(x, t=0.5):\n"
    "    e = exp((x - rowmax(x)) / t)\n"
    "    return e / rowsum(e)\n";

const char* const kTexts[] = {
    kSoftmax,
    "def f(x, t=0.5):\n    return x * t\n",
    "def f(x, t=0.5):\n    return rowmax(x)\n",
    "def f(x, t=0.5):\n    return rowsum(t) - rowsize(x)\n",
    "def f(x, t=0.5):\n"
    "    m = rowmean(x)\n"
    "    v = rowmean((x - m) ** 2)\n"
    "    return (x - m) / sqrt(v + t)\n",
    "def f(x, t=0.5):\n"
    "    m = rowmean(x)\n"
    "    s = sqrt(rowmean((x - m) ** 2) + t)\n"
    "    if sqrt(s) > 0.7 and x > m:\n"
    "        return exp((x - m) / s) * rowmax(sin(x))\n"
    "    return sin(x) + rowsum(exp((x - m) / s)) / s\n",
    "def f(x, t=0.5):\n"
    "    z = rowsort(x, x)\n"
    "    c = rowscan(1.0, z)\n"
    "    k = rowsum(1.0 if z * (rowindex(x) + 1) + t > c else 0.0)\n"
    "    return rowunsort(x, exp(z)) * k + rowshift(exp(z)) * z\n",
    "def f(x, t=0.5):\n"
    "    e = rowscan(rowshift(x), 1.0 if rowindex(x) == 0 else 0.0)\n"
    "    return e * rowscanback(t, rowmax(x)) - rowshiftback(x * e)\n",
    "def f(x, t=0.5):\n"
    "    s = rowsum(tanh(x))\n"
    "    u = rowsum(tanh(x) * s)\n"
    "    return rowsum(tanh(x) * u * s) * tanh(x)\n",
};

// Runs the stages on one row with the interpreter. inputs[e] are those of
// element e.
std::vector<std::vector<float>> RunStages(
    const Graph& graph, const RowStages& program,
    const std::vector<std::vector<float>>& inputs,
    const std::vector<float>& parameters) {
  const size_t size = inputs.size();
  std::vector<float> numbers(program.num_row_numbers);
  numbers[0] = static_cast<float>(size);
  std::vector<std::vector<float>> kept(program.num_kept,
                                       std::vector<float>(size));
  if (program.index_array >= 0) {
    std::iota(kept[program.index_array].begin(),
              kept[program.index_array].end(), 0.0F);
  }
  std::vector<std::vector<float>> results(graph.outputs.size(),
                                          std::vector<float>(size));
  for (const RowStage& stage : program.stages) {
    std::vector<float> row;
    for (const int number : stage.rows_inputs) row.push_back(numbers[number]);
    const auto made = Evaluate<float>(stage.rows, row, parameters);
    for (size_t i = 0; i < made.size(); ++i) {
      numbers[stage.rows_outputs[i]] = made[i];
    }
    std::vector<std::vector<float>> outputs(stage.sinks.size());
    for (size_t e = 0; e < size; ++e) {
      std::vector<float> element;
      for (const int tensor : stage.tensors) {
        element.push_back(inputs[e][tensor]);
      }
      for (const int array : stage.kept) element.push_back(kept[array][e]);
      for (const int number : stage.row_inputs) {
        element.push_back(numbers[number]);
      }
      const auto values = Evaluate<float>(stage.elements, element, parameters);
      for (size_t o = 0; o < values.size(); ++o) {
        outputs[o].push_back(values[o]);
      }
    }
    for (size_t o = 0; o < outputs.size(); ++o) {
      const RowStage::Sink& sink = stage.sinks[o];
      switch (sink.kind) {
        case RowStage::Sink::Kind::kOutput:
          results[sink.index] = outputs[o];
          break;
        case RowStage::Sink::Kind::kKeep:
          kept[sink.index] = outputs[o];
          break;
        case RowStage::Sink::Kind::kReduce:
          numbers[sink.index] =
              NumberOps<float>::ApplyToRow(sink.op, outputs[o], {})[0];
      }
    }
    for (const RowStage::Move& move : stage.moves) {
      kept[move.to] = NumberOps<float>::ApplyToRow(
          move.op, kept[move.a],
          move.b < 0 ? std::vector<float>() : kept[move.b]);
    }
  }
  return results;
}

void ExpectSame(const Graph& graph) {
  const RowStages program = CutIntoStages(graph);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> numbers(-3, 3);
  for (const size_t size : {1, 2, 7, 200}) {
    std::vector<std::vector<float>> inputs(size);
    for (auto& element : inputs) {
      for (size_t i = 0; i < graph.inputs.size(); ++i) {
        element.push_back(numbers(random));
      }
    }
    const auto want = EvaluateRow<float>(graph, inputs, {0.5F});
    const auto got = RunStages(graph, program, inputs, {0.5F});
    for (size_t o = 0; o < want.size(); ++o) {
      for (size_t e = 0; e < size; ++e) {
        EXPECT_TRUE(SameBits(got[o][e], want[o][e]))
            << "output " << o << ", element " << e << " of " << size << ": "
            << got[o][e] << ", want " << want[o][e];
      }
    }
  }
}

TEST(RowStages, ComputeTheSame) {
  for (const char* text : kTexts) {
    SCOPED_TRACE(text);
    ExpectSame(GraphOf(text));
  }
}

TEST(RowStages, ComputeTheSameGradients) {
  for (const char* text : kTexts) {
    SCOPED_TRACE(text);
    Graph graph = GraphOf(text);
    graph.inputs.push_back("dy");
    const auto gradients =
        PullBack(graph, graph.outputs[0].node, graph.Input(1),
                 {graph.Input(0), graph.ParameterNode(0)});
    graph.outputs = {};
    for (const NodeId node : gradients) {
      graph.outputs.push_back({"", node == kNoNode ? graph.Constant(0) : node});
    }
    ExpectSame(graph);
  }
}

TEST(RowStages, KeepWhatIsDear) {
  const RowStages softmax = CutIntoStages(GraphOf(kSoftmax));

  ASSERT_EQ(softmax.stages.size(), 3);
  EXPECT_EQ(softmax.num_kept, 1);
  // The exponentials are computed once.
  EXPECT_GE(softmax.stages[1].elements.Weight(), Info(Op::kExp).weight);
  EXPECT_LT(softmax.stages[2].elements.Weight(), Info(Op::kExp).weight);
  EXPECT_TRUE(softmax.stages[2].tensors.empty());
}

TEST(RowStages, ComputeNumbersOfTheRowOnce) {
  const RowStages program = CutIntoStages(
      GraphOf("def f(x):\n    return x * (1 / sqrt(rowsum(x * x)))\n"));

  ASSERT_EQ(program.stages.size(), 2);
  EXPECT_EQ(program.stages[1].rows.Weight(),
            Info(Op::kSqrt).weight + Info(Op::kDiv).weight);
  EXPECT_EQ(program.stages[1].elements.Weight(), Info(Op::kMul).weight);
}

TEST(RowStages, AreOneWithoutRowOps) {
  const RowStages program =
      CutIntoStages(GraphOf("def f(x):\n    return exp(x)\n"));

  EXPECT_EQ(program.stages.size(), 1);
  EXPECT_EQ(program.num_row_numbers, 1);
}

}  // namespace
}  // namespace actserve
