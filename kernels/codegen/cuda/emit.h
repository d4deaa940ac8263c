// From a lowered program to CUDA C++ text: prints, does not compile.
//
// A text needs no headers and has four parts:
//
//   1. text/prelude.h: the machine, in a version for NVRTC and one for a C++
//      compiler;
//   2. what the program needs of kernels/math, as it stands there;
//   3. `struct Program`: the graph, one line an operation, and the constants of
//      its shape. This part alone is generated;
//   4. text/skeleton.h, how tiles are read, computed and written, as templates
//      over the Program, and a line for each entry of launch.h.
//
// So that all that loops, waits or touches memory is ordinary C++ that is read
// and reviewed as a file, and generated code is arithmetic without names: no
// byte of a user's text is in it, constants are printed as their bits, values
// are numbered. Because the same text compiles as C++ (testing/host_shim.h), it
// is tested bit for bit where there is no GPU. Comments are left out of the
// text, since NVRTC's time counts.
//
// A new kind of kernel (row functions) is a function in the skeleton, and its
// entries in launch.h and Entries() of emit.cc, which is the one place that
// chooses.

#ifndef ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_
#define ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_

#include <string>

#include "kernels/codegen/cuda/launch.h"
#include "kernels/graph/lowered_program.h"

namespace actserve {

// The CUDA C++ text of a part of `program`, one of LaunchLayout::parts(), with
// the entries that the layout says. Equal for equal graphs, storage and rule,
// whatever anything is called; the parts that look up, whatever the graph is.
std::string EmitCuda(const LoweredProgram& program, CudaPart part);

// Names the text's parts that do not depend on a program: prelude, math,
// skeleton. For keys of caches; changes with every change of them.
const std::string& CudaTextFingerprint();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_CUDA_EMIT_H_
