// How the functions of kernels/math are declared.
//
// The headers here are compiled three ways: by the C++ compiler into the
// interpreter, by clang into the bitcode that the code generator links, and by
// a GPU's run-time compiler. They therefore include nothing from the standard
// library, take no branch on data (but double's fmod, which may have to divide
// for long) and read no memory (but a table in f64_trig.h). An includer may
// define ACTSERVE_MATH first, for example as `extern "C"`, to name the
// functions for a linker.

#ifndef ACTSERVE_KERNELS_MATH_MACROS_H_
#define ACTSERVE_KERNELS_MATH_MACROS_H_

// Before each function of the op table.
#ifndef ACTSERVE_MATH
#define ACTSERVE_MATH static inline
#endif

// Before each function that only this folder calls.
#ifndef ACTSERVE_MATH_INTERNAL
#define ACTSERVE_MATH_INTERNAL static inline __attribute__((always_inline))
#endif

#endif  // ACTSERVE_KERNELS_MATH_MACROS_H_
