def ceil(x, /, out=None, *, dtype=None): return ceil(x)
def floor(x, /, out=None, *, dtype=None): return floor(x)
def trunc(x, /, out=None, *, dtype=None): return trunc(x)
def sign(x, /, out=None, *, dtype=None): return sign(x)
def exp(x, /, out=None, *, dtype=None): return exp(x)
def exp2(x, /, out=None, *, dtype=None): return exp2(x)
def expm1(x, /, out=None, *, dtype=None): return expm1(x)
def log(x, /, out=None, *, dtype=None): return log(x)
def log2(x, /, out=None, *, dtype=None): return log2(x)
def log10(x, /, out=None, *, dtype=None): return log10(x)
def log1p(x, /, out=None, *, dtype=None): return log1p(x)
def sqrt(x, /, out=None, *, dtype=None): return sqrt(x)
def sin(x, /, out=None, *, dtype=None): return sin(x)
def cos(x, /, out=None, *, dtype=None): return cos(x)
def tan(x, /, out=None, *, dtype=None): return tan(x)
def asin(x, /, out=None, *, dtype=None): return asin(x)
def acos(x, /, out=None, *, dtype=None): return acos(x)
def atan(x, /, out=None, *, dtype=None): return atan(x)
def sinh(x, /, out=None, *, dtype=None): return sinh(x)
def cosh(x, /, out=None, *, dtype=None): return cosh(x)
def tanh(x, /, out=None, *, dtype=None): return tanh(x)
def asinh(x, /, out=None, *, dtype=None): return asinh(x)
def acosh(x, /, out=None, *, dtype=None): return acosh(x)
def atanh(x, /, out=None, *, dtype=None): return atanh(x)
def abs(x, /, out=None, *, dtype=None): return abs(x)
def round(a, decimals=0, out=None): return round(a)
def rint(x, /, out=None, *, dtype=None): return round(x)
def fix(x, out=None): return trunc(x)
def absolute(x, /, out=None, *, dtype=None): return abs(x)
def fabs(x, /, out=None, *, dtype=None): return abs(x)
def arccos(x, /, out=None, *, dtype=None): return acos(x)
def arccosh(x, /, out=None, *, dtype=None): return acosh(x)
def arcsin(x, /, out=None, *, dtype=None): return asin(x)
def arcsinh(x, /, out=None, *, dtype=None): return asinh(x)
def arctan(x, /, out=None, *, dtype=None): return atan(x)
def arctanh(x, /, out=None, *, dtype=None): return atanh(x)
def atan2(x1, x2, /, out=None, *, dtype=None): return atan2(x1, x2)
def arctan2(x1, x2, /, out=None, *, dtype=None): return atan2(x1, x2)
def add(x1, x2, /, out=None, *, dtype=None): return x1 + x2
def subtract(x1, x2, /, out=None, *, dtype=None): return x1 - x2
def multiply(x1, x2, /, out=None, *, dtype=None): return x1 * x2
def divide(x1, x2, /, out=None, *, dtype=None): return x1 / x2
def true_divide(x1, x2, /, out=None, *, dtype=None): return x1 / x2
def pow(x1, x2, /, out=None, *, dtype=None): return x1 ** x2
def power(x1, x2, /, out=None, *, dtype=None): return x1 ** x2
def float_power(x1, x2, /, out=None, *, dtype=None): return x1 ** x2
def negative(x, /, out=None, *, dtype=None): return -x
def positive(x, /, out=None, *, dtype=None): return x
def mod(x1, x2, /, out=None, *, dtype=None): return x1 % x2
def remainder(x1, x2, /, out=None, *, dtype=None): return x1 % x2
def floor_divide(x1, x2, /, out=None, *, dtype=None): return x1 // x2
def fmod(x1, x2, /, out=None, *, dtype=None): return fmod(x1, x2)
def maximum(x1, x2, /, out=None, *, dtype=None): return max(x1, x2)
def minimum(x1, x2, /, out=None, *, dtype=None): return min(x1, x2)
def reciprocal(x, /, out=None, *, dtype=None): return 1 / x
def square(x, /, out=None, *, dtype=None): return x ** 2
def less(x1, x2, /, out=None, *, dtype=None): return x1 < x2
def less_equal(x1, x2, /, out=None, *, dtype=None): return x1 <= x2
def greater(x1, x2, /, out=None, *, dtype=None): return x1 > x2
def greater_equal(x1, x2, /, out=None, *, dtype=None): return x1 >= x2
def equal(x1, x2, /, out=None, *, dtype=None): return x1 == x2
def not_equal(x1, x2, /, out=None, *, dtype=None): return x1 != x2
def logical_and(x1, x2, /, out=None, *, dtype=None): return x1 and x2
def logical_or(x1, x2, /, out=None, *, dtype=None): return x1 or x2
def logical_not(x, /, out=None, *, dtype=None): return not x
def logical_xor(x1, x2, /, out=None, *, dtype=None): return (x1 and not x2) or (x2 and not x1)
def isnan(x, /, out=None, *, dtype=None): return not abs(x) <= inf
def isinf(x, /, out=None, *, dtype=None): return abs(x) == inf
def isfinite(x, /, out=None, *, dtype=None): return abs(x) < inf
def where(condition, x, y, /): return x if condition else y
def zeros_like(a, dtype=None, *, device=None): return 0.0
def ones_like(a, dtype=None, *, device=None): return 1.0
def full_like(a, fill_value, dtype=None, *, device=None): return fill_value
def heaviside(x1, x2, /, out=None, *, dtype=None): return 0.0 if x1 < 0 else (1.0 if x1 > 0 else (x2 if x1 == 0 else x1))
def logaddexp(x1, x2, /, out=None, *, dtype=None): return 0.5 * x1 + 0.5 * x2 + 0.6931471805599453 if x1 == x2 else (x1 if x1 > x2 else x2) + log1p(exp(-abs(x1 - x2)))
def logaddexp2(x1, x2, /, out=None, *, dtype=None): return 0.5 * x1 + 0.5 * x2 + 1.0 if x1 == x2 else (x1 if x1 > x2 else x2) + log1p(exp2(-abs(x1 - x2))) * 1.4426950408889634
def deg2rad(x, /, out=None, *, dtype=None): return x * 0.017453292519943295
def radians(x, /, out=None, *, dtype=None): return x * 0.017453292519943295
def rad2deg(x, /, out=None, *, dtype=None): return x * 57.29577951308232
def degrees(x, /, out=None, *, dtype=None): return x * 57.29577951308232
def copy(a): return a
def asarray(a, dtype=None): return float(a)
def array(object, dtype=None): return float(object)
def float32(value, /): return float(value)
def float64(value, /): return float(value)
def double(value, /): return float(value)
def astype(x, dtype, /): return float(x)
def copysign(x1, x2, /, out=None, *, dtype=None): return -abs(x1) if x2 < 0 or (x2 == 0 and 1 / x2 < 0) else abs(x1)
def clip(a, a_min=None, a_max=None, out=None): return clamp(a, a_min, a_max)
def clip(a, *, min=None, max=None): return clamp(a, min, max)
def amax(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmax(x); for elementwise use maximum(x, 0)"
def amin(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmin(x); for elementwise use minimum(x, 0)"
def max(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmax(x); for elementwise use maximum(x, 0)"
def min(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmin(x); for elementwise use minimum(x, 0)"
def select(condlist, choicelist): return "lists of conditions are not supported: write x if condition else y"
