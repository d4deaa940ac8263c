// Every function of kernels/math as a loop over arrays, once by each compiler
// that compiles the header: the project's for the interpreter, clang with the
// host's vectors for compiled kernels.

#ifndef ACTSERVE_KERNELS_MATH_TESTING_LOOPS_H_
#define ACTSERVE_KERNELS_MATH_TESTING_LOOPS_H_

namespace actserve::testing {

// y[i] = f(x[i]) for i < count; of two arguments, f(x[i], x[count - 1 - i]).
template <typename T>
struct Loop {
  const char* name;
  void (*run)(const T* x, T* y, int count);
};

// Ended by a null name. The same rows in the same order from both.
const Loop<float>* ProjectCompilerF32();
const Loop<double>* ProjectCompilerF64();
const Loop<float>* ClangF32();
const Loop<double>* ClangF64();

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_MATH_TESTING_LOOPS_H_
