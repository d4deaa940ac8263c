// Random numbers of a program: uniform(seed, stream) and normal(seed, stream).
//
// A draw is a function of its seed, its stream and the element's place in its
// own tensor, plus the offset that the request gives (math/philox.h). So the
// numbers are the same in a Forward and its Backward, on every device, and
// however tensors are batched, cut, or spread over threads; and a tensor that
// is sent in pieces, each with its offset, has those of the whole.
//
// The operands of a draw are leaves: the seed a parameter or a constant, the
// stream a constant. Equal draws are one node, like all equal nodes; nothing
// folds one. A seed is an integer of up to 53 bits, which a parameter of the
// contract (a double) holds; it goes to the generator as such an integer,
// whatever type the program computes in. float32 programs, and 16-bit ones,
// which compute in float32, take their numbers from the high bits of those of
// float64 programs: see math/f32_draw.h and f64_draw.h.

#ifndef ACTSERVE_KERNELS_GRAPH_DRAWS_H_
#define ACTSERVE_KERNELS_GRAPH_DRAWS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/graph/graph.h"

namespace actserve {

inline constexpr double kMaxSeed = 9007199254740992;  // 2^53
inline constexpr double kMaxStream = 4294967295;      // 2^32 - 1

// True for an integer from 0 to `max`.
bool IsDrawOperand(double value, double max);

// The parameters that are the seed of a draw that an output needs, in rising
// order.
std::vector<int32_t> SeedParameters(const Graph& graph);

// What a kernel needs beside its parameters: the place of its first element,
// and then the seeds of SeedParameters(). `parameters` has one value per
// parameter; seeds have been checked. Empty for a graph without draws.
std::vector<uint64_t> DrawWords(const Graph& graph,
                                absl::Span<const double> parameters,
                                uint64_t first_element);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_GRAPH_DRAWS_H_
