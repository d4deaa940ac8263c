#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_ROW_TEXT_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_ROW_TEXT_H_

#include <string>

#include "kernels/codegen/cuda/arithmetic.h"
#include "kernels/graph/graph.h"
#include "kernels/graph/passes/row_stages.h"

namespace actserve {

// What text/rows.h needs to know of a program that reads rows. The index array
// and random numbers are computed where they are read, and not among the
// arrays.
struct RowShape {
  explicit RowShape(const RowStages& stages);

  int num_stages = 0;
  int num_numbers = 0;  // of a row
  // Arrays of one number for each element: kept ones and, last, the order of
  // elements if something is sorted.
  int num_arrays = 0;
  int max_reductions = 0;  // of a stage
  // True if something is sorted, scanned or shifted.
  bool has_moves = false;
};

// Prints a `DrawArray<i>` for each of the random numbers and a `Stage<i>` for
// each of `stages`, of the program of `graph`.
std::string PrintStages(const Graph& graph, const RowStages& stages,
                        ArithmeticPrinter& printer);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_ROW_TEXT_H_
