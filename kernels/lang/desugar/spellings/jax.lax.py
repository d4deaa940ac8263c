def ceil(x): return ceil(x)
def floor(x): return floor(x)
def sign(x): return sign(x)
def exp(x): return exp(x)
def exp2(x): return exp2(x)
def expm1(x): return expm1(x)
def log(x): return log(x)
def log1p(x): return log1p(x)
def sqrt(x): return sqrt(x)
def sin(x): return sin(x)
def cos(x): return cos(x)
def tan(x): return tan(x)
def asin(x): return asin(x)
def acos(x): return acos(x)
def atan(x): return atan(x)
def sinh(x): return sinh(x)
def cosh(x): return cosh(x)
def tanh(x): return tanh(x)
def asinh(x): return asinh(x)
def acosh(x): return acosh(x)
def atanh(x): return atanh(x)
def erf(x): return erf(x)
def erfc(x): return erfc(x)
def abs(x): return abs(x)
def round(x, rounding_method=RoundingMethod.AWAY_FROM_ZERO): return trunc(x) + sign(x) if abs(x - trunc(x)) >= 0.5 else trunc(x)
def round(x, rounding_method=RoundingMethod.TO_NEAREST_EVEN): return round(x)
def atan2(x, y): return atan2(x, y)
def add(x, y): return x + y
def sub(x, y): return x - y
def mul(x, y): return x * y
def div(x, y): return x / y
def pow(x, y): return x ** y
def neg(x): return -x
def rem(x, y): return fmod(x, y)
def reciprocal(x): return 1 / x
def rsqrt(x): return 1 / sqrt(x)
def square(x): return x ** 2
def lt(x, y): return x < y
def le(x, y): return x <= y
def gt(x, y): return x > y
def ge(x, y): return x >= y
def eq(x, y): return x == y
def ne(x, y): return x != y
def is_finite(x): return abs(x) < inf
def full_like(x, fill_value, dtype=None, shape=None, sharding=None): return fill_value
def logistic(x): return sigmoid(x)
def select(pred, on_true, on_false): return on_true if pred else on_false
def select_n(which, case0, case1): return case1 if which else case0
def clamp(min, x, max): return clamp(x, min, max)
def integer_pow(x, y): return x ** y
def max(x, y): return max(x, y)
def min(x, y): return min(x, y)
