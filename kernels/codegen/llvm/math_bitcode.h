#ifndef ACTSERVE_KERNELS_CODEGEN_LLVM_MATH_BITCODE_H_
#define ACTSERVE_KERNELS_CODEGEN_LLVM_MATH_BITCODE_H_

#include <string_view>

namespace actserve {

// The LLVM bitcode of every function of kernels/math, embedded at build time.
std::string_view MathBitcode();

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_CODEGEN_LLVM_MATH_BITCODE_H_
