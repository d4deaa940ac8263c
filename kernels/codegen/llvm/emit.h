#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_EMIT_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_EMIT_H_

#include "kernels/codegen/llvm/kernel_compiler.h"
#include "kernels/graph/lowered_program.h"
#include "llvm/IR/Module.h"

namespace actserve {

// Adds to `module` the kernel of `program`, as a scalar loop that calls the
// shared math by name; the declarations that it needs are left for the linker.
//
// The loop sits in a function of its own whose pointers are `noalias`, which
// lets LLVM vectorize it; kKernelSymbol unpacks the arrays and calls it.
// `prefer_512` asks for the widest vectors.
void EmitKernel(const LoweredProgram& program, KernelVariant variant,
                bool prefer_512, llvm::Module& module);

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_EMIT_H_
