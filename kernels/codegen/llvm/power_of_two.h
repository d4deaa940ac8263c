#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_POWER_OF_TWO_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_POWER_OF_TWO_H_

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Value.h"

namespace actserve {

// Emits whether `x`, a float32 or float64, is a power of two of either sign
// between 2^-100 and 2^100. Then 1 / x is exact, and to divide by x is to
// multiply by that, with the same bits.
llvm::Value* IsPowerOfTwo(llvm::IRBuilder<>& builder, llvm::Value* x);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_POWER_OF_TWO_H_
