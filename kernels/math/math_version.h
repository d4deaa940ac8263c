#ifndef ACTSERVE_KERNELS_MATH_MATH_VERSION_H_
#define ACTSERVE_KERNELS_MATH_MATH_VERSION_H_

namespace actserve {

// Names the results of kernels/math in program ids. Raise it with every change
// that alters a bit of any function's result, at any argument.
inline constexpr int kMathVersion = 2;

}  // namespace actserve

#endif  // ACTSERVE_KERNELS_MATH_MATH_VERSION_H_
