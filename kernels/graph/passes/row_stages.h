// Defines the pass that cuts a graph with row ops into stages that devices run
// one after the other. Inside a stage elements do not meet.
//
// A stage has three steps for each row:
//
//   1. `rows` computes numbers of the row from other numbers of the row, once;
//   2. `elements` computes for every element;
//   3. some outputs of `elements` are reduced over the row, which gives new
//      numbers of the row, or moved along it.
//
// What a stage computes at a cost and a later one needs again is kept: an array
// of one number for each element. What is to be moved is kept, too, and what
// that gives. Random numbers are kept from the start: they depend on places in
// the tensor, and not on the stages.

#ifndef ACTSERVE_KERNELS_GRAPH_PASSES_ROW_STAGES_H_
#define ACTSERVE_KERNELS_GRAPH_PASSES_ROW_STAGES_H_

#include <vector>

#include "kernels/graph/graph.h"

namespace actserve {

// All numbers but those of tensors are of the type that the program computes
// in. A graph of a stage has the parameters of the program and nothing of the
// rest of its signature; its own inputs are, in this order:
//
//   of `rows`      numbers of the row: `rows_inputs`
//   of `elements`  tensors of the program: `tensors`; kept arrays: `kept`;
//                  numbers of the row: `row_inputs`
struct RowStage {
  // Its outputs are numbers of the row: `rows_outputs`.
  Graph rows;
  std::vector<int> rows_inputs;
  std::vector<int> rows_outputs;

  Graph elements;
  std::vector<int> tensors;
  std::vector<int> kept;
  std::vector<int> row_inputs;

  // What becomes of each output of `elements`.
  struct Sink {
    enum class Kind {
      kOutput,  // it is output `index` of the program
      kKeep,    // it is kept array `index`
      kReduce,  // `op` over the row gives number `index` of the row
    };
    Kind kind;
    int index;
    Op op;
  };
  std::vector<Sink> sinks;

  // Kept array `to` is `op`, one of IsByElement(), of kept arrays `a` and `b`.
  struct Move {
    Op op;
    int a;
    int b;  // -1 for an op of one operand
    int to;
  };
  std::vector<Move> moves;
};

struct RowStages {
  std::vector<RowStage> stages;
  int num_kept = 0;
  // The kept array that is 0, 1, ... along the row from the start; -1 if none.
  int index_array = -1;
  // Output i, a random number, is kept array draw_arrays[i] from the start. It
  // has the parameters of the program and no inputs.
  Graph draws;
  std::vector<int> draw_arrays;
  // Number 0 of a row is its size.
  int num_row_numbers = 1;
};

// Computes the same as `graph`, bit for bit.
RowStages CutIntoStages(const Graph& graph);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_PASSES_ROW_STAGES_H_
