// A real number of 320 bits, for references in tests: MPFR with operators.
//
// Correctly rounded at that precision; exponents far beyond double's. Values
// are exact doubles or results of the operations below.

#ifndef ACTSERVE_KERNELS_MATH_REFERENCE_REAL_H_
#define ACTSERVE_KERNELS_MATH_REFERENCE_REAL_H_

#include <mpfr.h>

namespace actserve::testing {

// A number of 320 bits (MPFR).
class Real {
 public:
  static constexpr mpfr_prec_t kBits = 320;

  Real() { Init(); }
  Real(double x) { mpfr_set_d(Init(), x, MPFR_RNDN); }  // NOLINT: implicit
  // A decimal number exactly, as far as kBits go.
  explicit Real(const char* text) { mpfr_set_str(Init(), text, 10, MPFR_RNDN); }
  Real(const Real& other) { mpfr_set(Init(), other.value_, MPFR_RNDN); }
  Real& operator=(const Real& other) {
    if (this != &other) mpfr_set(value_, other.value_, MPFR_RNDN);
    return *this;
  }

  static Real Pi() {
    Real result;
    mpfr_const_pi(result.value_, MPFR_RNDN);
    return result;
  }

  // Rounded to nearest, as IEEE does: subnormal results and overflow too.
  double ToDouble() const { return mpfr_get_d(value_, MPFR_RNDN); }
  // Rounded towards zero, with the last bit set if that lost anything: a
  // double that rounds on to any narrower type as the number itself does.
  double ToOddDouble() const {
    const double cut = mpfr_get_d(value_, MPFR_RNDZ);
    const bool exact = mpfr_cmp_d(value_, cut) == 0 || IsNaN();
    const auto bits = __builtin_bit_cast(unsigned long long, cut);
    return __builtin_bit_cast(double, exact ? bits : bits | 1);
  }
  bool IsNaN() const { return mpfr_nan_p(value_) != 0; }

  friend Real operator+(const Real& a, const Real& b) {
    return Apply(mpfr_add, a, b);
  }
  friend Real operator-(const Real& a, const Real& b) {
    return Apply(mpfr_sub, a, b);
  }
  friend Real operator*(const Real& a, const Real& b) {
    return Apply(mpfr_mul, a, b);
  }
  friend Real operator/(const Real& a, const Real& b) {
    return Apply(mpfr_div, a, b);
  }
  friend Real operator-(const Real& a) { return 0.0 - a; }
  friend bool operator<(const Real& a, const Real& b) {
    return mpfr_less_p(a.value_, b.value_) != 0;
  }
  friend bool operator>(const Real& a, const Real& b) { return b < a; }

  // Any function of MPFR with one or two arguments and a rounding mode.
  template <typename F>
  static Real Apply(F* function, const Real& a) {
    Real result;
    function(result.value_, a.value_, MPFR_RNDN);
    return result;
  }
  template <typename F>
  static Real Apply(F* function, const Real& a, const Real& b) {
    Real result;
    function(result.value_, a.value_, b.value_, MPFR_RNDN);
    return result;
  }

 private:
  mpfr_ptr Init() {
    mpfr_custom_init_set(value_, MPFR_ZERO_KIND, 0, kBits, limbs_);
    return value_;
  }

  // Refers to limbs_: memory of MPFR's own would be most of a reference's time.
  mpfr_t value_;
  mp_limb_t limbs_[kBits / (8 * sizeof(mp_limb_t))];
};

inline Real Abs(const Real& x) { return x < 0 ? -x : x; }
inline Real Max(const Real& a, const Real& b) { return a < b ? b : a; }
inline Real Sqrt(const Real& x) { return Real::Apply(mpfr_sqrt, x); }
inline Real Exp(const Real& x) { return Real::Apply(mpfr_exp, x); }
inline Real Expm1(const Real& x) { return Real::Apply(mpfr_expm1, x); }
inline Real Log1p(const Real& x) { return Real::Apply(mpfr_log1p, x); }
inline Real Tanh(const Real& x) { return Real::Apply(mpfr_tanh, x); }
inline Real Cosh(const Real& x) { return Real::Apply(mpfr_cosh, x); }
inline Real Erf(const Real& x) { return Real::Apply(mpfr_erf, x); }
inline Real Erfc(const Real& x) { return Real::Apply(mpfr_erfc, x); }
inline Real Exp2(const Real& x) { return Real::Apply(mpfr_exp2, x); }
inline Real Log(const Real& x) { return Real::Apply(mpfr_log, x); }
inline Real Log2(const Real& x) { return Real::Apply(mpfr_log2, x); }
inline Real Log10(const Real& x) { return Real::Apply(mpfr_log10, x); }
inline Real Sin(const Real& x) { return Real::Apply(mpfr_sin, x); }
inline Real Cos(const Real& x) { return Real::Apply(mpfr_cos, x); }
inline Real Tan(const Real& x) { return Real::Apply(mpfr_tan, x); }
inline Real Asin(const Real& x) { return Real::Apply(mpfr_asin, x); }
inline Real Acos(const Real& x) { return Real::Apply(mpfr_acos, x); }
inline Real Atan(const Real& x) { return Real::Apply(mpfr_atan, x); }
inline Real Sinh(const Real& x) { return Real::Apply(mpfr_sinh, x); }
inline Real Asinh(const Real& x) { return Real::Apply(mpfr_asinh, x); }
inline Real Acosh(const Real& x) { return Real::Apply(mpfr_acosh, x); }
inline Real Atanh(const Real& x) { return Real::Apply(mpfr_atanh, x); }

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_MATH_REFERENCE_REAL_H_
