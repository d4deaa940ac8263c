#ifndef ACTSERVE_KERNELS_MATH_MATH_VERSION_H_
#define ACTSERVE_KERNELS_MATH_MATH_VERSION_H_

namespace actserve {

// Identifies the results of programs in program ids. Raise it with every change
// that alters a bit of any program's result, at any argument: of a function
// here, of a rewrite (graph/build/stabilize.cc), or of a derivative
// (graph/op.cc).
inline constexpr int kMathVersion = 4;

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_MATH_MATH_VERSION_H_
