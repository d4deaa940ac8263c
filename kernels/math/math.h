// The scalar math of every device: one function a row of the op table
// (kernels/graph/op.h), `actserve_<name>_f32` and `actserve_<name>_f64`.
//
// Branch-free: a compiler vectorizes any of them at any width, but for double's
// remainders by a general divisor, which loop over huge quotients. Only IEEE
// operations rounding to nearest, explicit fma, floor and round, integer
// operations on the bits, and selects: with contraction off, every compiler
// and device computes the same bits. Each declaration states its largest error:
// f32_full_test.cc finds it over all floats, f64_test.cc samples doubles.
//
// Include this file, not the parts. Thread-safe: no state.

#ifndef ACTSERVE_KERNELS_MATH_MATH_H_
#define ACTSERVE_KERNELS_MATH_MATH_H_

#include "kernels/math/f32_draw.h"
#include "kernels/math/f32_exp.h"
#include "kernels/math/f32_hyperbolic.h"
#include "kernels/math/f32_log.h"
#include "kernels/math/f32_logistic.h"
#include "kernels/math/f32_mod.h"
#include "kernels/math/f32_normal.h"
#include "kernels/math/f32_pow.h"
#include "kernels/math/f32_trig.h"
#include "kernels/math/f64_draw.h"
#include "kernels/math/f64_exp.h"
#include "kernels/math/f64_hyperbolic.h"
#include "kernels/math/f64_inverse_trig.h"
#include "kernels/math/f64_log.h"
#include "kernels/math/f64_logistic.h"
#include "kernels/math/f64_mod.h"
#include "kernels/math/f64_normal.h"
#include "kernels/math/f64_pow.h"
#include "kernels/math/f64_trig.h"
#include "kernels/math/half.h"
#include "kernels/math/macros.h"
#include "kernels/math/philox.h"

#endif  // ACTSERVE_KERNELS_MATH_MATH_H_
