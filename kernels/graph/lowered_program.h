// The program that a device compiles: which graph, in which type it computes,
// and how its results are rounded. Devices see only this; the 16-bit rule lives
// here and nowhere else.

#ifndef ACTSERVE_KERNELS_GRAPH_LOWERED_PROGRAM_H_
#define ACTSERVE_KERNELS_GRAPH_LOWERED_PROGRAM_H_

#include <cstdint>
#include <string>

#include "kernels/base/dtype.h"
#include "kernels/graph/graph.h"

namespace actserve {

// A program before a device compiles it. Immutable once lowered.
struct LoweredProgram {
  enum class Rule {
    // Every input is converted to `compute`, the graph evaluated in it, every
    // output rounded once to `storage`.
    kDirect,
    // One tensor input, 16-bit storage, compute float64: output =
    // round16(graph(x)), rounded once. A function of 65,536 values: a device
    // may read it from a table, and must get the same bits.
    kRoundOnce16,
    // Two tensor inputs (x, upstream gradient), 16-bit storage. The graph has
    // one input, x, and one output d, in float64; the result is
    // round16(float(dy) * float(d(x))), float() of d rounding to odd
    // (actserve_f64_derivative_to_f32), so that an upstream gradient of 1 gives
    // the derivative correctly rounded. Again d may come from a table.
    kDerivative16,
  };
  Graph graph;
  DType storage = DType::kFloat32;
  DType compute = DType::kFloat32;  // kFloat32 or kFloat64
  Rule rule = Rule::kDirect;
  // Identifies the results bit for bit: a digest of activation id, math
  // version, dtype, direction and wrt, as "sha256:" and 64 hexadecimal digits.
  std::string program_id;
  // Graph::Weight(): about the operations per element.
  int64_t weight = 0;
  // False if the weight is over LanguageLimits::interleaved_weight.
  bool interleave = true;
  // So many of the graph's inputs, the last ones, are tensors that broadcast:
  // an item says how. They too are of the type `storage`. Then `rule` is
  // kDirect.
  int num_broadcasts = 0;
  // So many of the graph's inputs, the last ones, are arrays of the compute
  // type: what another program left. 0 but in parts of a program.
  int num_compute_inputs = 0;
  // So many of those, the last ones, have one number for each row.
  int num_row_inputs = 0;

  // The tensor inputs of the full shape that a device receives: graph.inputs
  // without those that broadcast and, with kDerivative16, the upstream gradient
  // after them.
  int num_tensor_inputs() const {
    return static_cast<int>(graph.inputs.size()) - num_broadcasts +
           (rule == Rule::kDerivative16 ? 1 : 0);
  }
};

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_LOWERED_PROGRAM_H_
