// Prints a lowered program as CUDA C++ text. Does not compile it.
//
// A text needs no headers and has four parts:
//
//   1. text/prelude.h: the machine, in a version for NVRTC and one for a C++
//      compiler;
//   2. the headers of kernels/math that the program needs, unchanged;
//   3. `struct Program`: the graph, one line an operation, and the constants of
//      its shape. This part alone is generated;
//   4. text/tree.h, segments.h, broadcasts.h, sums.h and elements.h, how tiles
//      are found, read, computed and written, as templates over the Program,
//      and a line for each entry of launch.h.
//
// A program that reads rows has text/rows.h instead of elements.h, and behind
// it the arithmetic of its stages (row_text.h). The text of
// CudaPart::kTermSums, which is no program's, has text/tree.h and sum_terms.h.
//
// So everything that loops, waits or touches memory is ordinary C++, reviewed
// as a file. Generated code is arithmetic without names: it contains no byte of
// a user's text, constants are printed as their bits, and values are numbered.
// Because the same text compiles as C++ (testing/host_shim.h), it is tested bit
// for bit where there is no GPU. The text has no comments, to save NVRTC's
// time.
//
// A new kind of kernel is a function in a file of text/, and its entries in
// launch.h and Entries() of emit.cc, which is the one place that chooses.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_

#include <string>

#include "kernels/codegen/cuda/launch.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// Returns the CUDA C++ text of one part of `program`, from
// LaunchLayout::parts(), with the layout's entries. Texts are equal for equal
// graphs, storage and rule, whatever the names; texts of lookup parts do not
// depend on the graph either, and that of kTermSums depends on nothing but the
// compute type.
std::string EmitCuda(const LoweredProgram& program, CudaPart part);

// Identifies the parts of a text that do not depend on a program (text/
// and math), for keys of caches. Changes whenever they change.
const std::string& CudaTextFingerprint();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_
