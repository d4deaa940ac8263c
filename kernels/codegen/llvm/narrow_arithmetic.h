#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_

#include "llvm/IR/Function.h"

namespace actserve {

// Defines the pass that moves the arithmetic of a cheap kernel out of 512-bit
// registers: each 512-bit addition, subtraction, multiplication or rounding
// becomes two of 256 bits, for which the code generator then loads halves.
// Comparisons, selections and stores stay as wide as they were. The bits of the
// results are the same.
//
// It is for processors on which any 512-bit arithmetic lowers the clock by
// several percent, also for memory accesses, while comparing and moving 512
// bits does not. It pays where a loop waits for memory beyond the first-level
// cache anyway; within that cache the loop takes half as long again. So a block
// stays unchanged if it has more arithmetic than memory hides, if it has slow
// arithmetic (division, square root), or if it loads values that are not only
// computed with.
//
// Runs after the optimizer, which would join the halves again.
void NarrowArithmetic(llvm::Function& function);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_NARROW_ARITHMETIC_H_
