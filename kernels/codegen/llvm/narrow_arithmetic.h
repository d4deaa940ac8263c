#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_

#include "llvm/IR/Function.h"

namespace actserve {

// Defines the pass that takes the little arithmetic of a cheap kernel out of
// 512-bit registers: each 512-bit addition, subtraction, multiplication or
// rounding becomes two of 256 bits, for which the code generator then loads
// halves. Comparisons, selections and stores stay as wide as they were. The
// bits of the results are the same.
//
// For processors on which any 512-bit arithmetic lowers the clock by several
// per cent, of memory accesses too, while comparing and moving 512 bits does
// not. It pays where a loop waits for memory beyond the first level cache
// anyway; below, the loop takes half as long again. So a block stays as it is
// if it has more arithmetic than memory hides, or of a slow kind (division,
// square root), or if it loads what is not only computed with.
//
// Runs after the optimiser, which would join the halves again.
void NarrowArithmetic(llvm::Function& function);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_
