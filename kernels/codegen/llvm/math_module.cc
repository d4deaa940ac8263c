// The shared math as one translation unit, compiled to bitcode at build time
// and embedded in the program (math_bitcode.h). Not part of any library.

#define ACTSERVE_MATH extern "C"
#include "kernels/math/math.h"
