def ceil(x, /): return ceil(x)
def floor(x, /): return floor(x)
def trunc(x): return trunc(x)
def sign(x, /): return sign(x)
def exp(x, /): return exp(x)
def exp2(x, /): return exp2(x)
def expm1(x, /): return expm1(x)
def log(x, /): return log(x)
def log2(x, /): return log2(x)
def log10(x, /): return log10(x)
def log1p(x, /): return log1p(x)
def sqrt(x, /): return sqrt(x)
def sin(x, /): return sin(x)
def cos(x, /): return cos(x)
def tan(x, /): return tan(x)
def asin(x, /): return asin(x)
def acos(x, /): return acos(x)
def atan(x, /): return atan(x)
def sinh(x, /): return sinh(x)
def cosh(x, /): return cosh(x)
def tanh(x, /): return tanh(x)
def asinh(x, /): return asinh(x)
def acosh(x, /): return acosh(x)
def atanh(x, /): return atanh(x)
def abs(x, /): return abs(x)
def round(a, decimals=0, out=None): return round(a)
def rint(x, /): return round(x)
def absolute(x, /): return abs(x)
def fabs(x, /): return abs(x)
def arccos(x, /): return acos(x)
def arccosh(x, /): return acosh(x)
def arcsin(x, /): return asin(x)
def arcsinh(x, /): return asinh(x)
def arctan(x, /): return atan(x)
def arctanh(x, /): return atanh(x)
def atan2(x1, x2, /): return atan2(x1, x2)
def arctan2(x1, x2, /): return atan2(x1, x2)
def add(x, y, /, *, out=None): return x + y
def subtract(x, y, /, *, out=None): return x - y
def multiply(x, y, /, *, out=None): return x * y
def divide(x1, x2, /): return x1 / x2
def true_divide(x1, x2, /): return x1 / x2
def pow(x1, x2, /): return x1 ** x2
def power(x1, x2, /): return x1 ** x2
def float_power(x, y, /): return x ** y
def negative(x, /, *, out=None): return -x
def positive(x, /): return x
def mod(x1, x2, /): return x1 % x2
def remainder(x1, x2, /): return x1 % x2
def floor_divide(x1, x2, /): return x1 // x2
def fmod(x1, x2, /): return fmod(x1, x2)
def maximum(x, y, /, *, out=None): return max(x, y)
def minimum(x, y, /, *, out=None): return min(x, y)
def reciprocal(x, /): return 1 / x
def square(x, /): return x ** 2
def less(x, y, /): return x < y
def less_equal(x, y, /): return x <= y
def greater(x, y, /): return x > y
def greater_equal(x, y, /): return x >= y
def equal(x, y, /): return x == y
def not_equal(x, y, /): return x != y
def logical_and(x, y, /, *, out=None): return x and y
def logical_or(x, y, /, *, out=None): return x or y
def logical_not(x, /): return not x
def logical_xor(x, y, /, *, out=None): return (x and not y) or (y and not x)
def isnan(x, /): return not abs(x) <= inf
def isinf(x, /): return abs(x) == inf
def isfinite(x, /): return abs(x) < inf
def where(condition, x, y, /): return x if condition else y
def zeros_like(a, dtype=None, shape=None, *, device=None): return 0.0
def ones_like(a, dtype=None, shape=None, *, device=None): return 1.0
def full_like(a, fill_value, dtype=None, shape=None, *, device=None): return fill_value
def heaviside(x1, x2, /): return 0.0 if x1 < 0 else (1.0 if x1 > 0 else (x2 if x1 == 0 else x1))
def logaddexp(x, y, /, *, out=None): return 0.5 * x + 0.5 * y + 0.6931471805599453 if x == y else (x if x > y else y) + log1p(exp(-abs(x - y)))
def logaddexp2(x, y, /, *, out=None): return 0.5 * x + 0.5 * y + 1.0 if x == y else (x if x > y else y) + log1p(exp2(-abs(x - y))) * 1.4426950408889634
def deg2rad(x, /): return x * 0.017453292519943295
def radians(x, /): return x * 0.017453292519943295
def rad2deg(x, /): return x * 57.29577951308232
def degrees(x, /): return x * 57.29577951308232
def copy(a): return a
def asarray(a, dtype=None): return float(a)
def array(object, dtype=None): return float(object)
def float32(x): return float(x)
def float64(x): return float(x)
def astype(x, dtype, /): return float(x)
def copysign(x1, x2, /): return -abs(x1) if x2 < 0 or (x2 == 0 and 1 / x2 < 0) else abs(x1)
def clip(arr, /, min=None, max=None): return clamp(arr, min, max)
def amax(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmax(x); for elementwise use maximum(x, 0)"
def amin(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmin(x); for elementwise use minimum(x, 0)"
def max(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmax(x); for elementwise use maximum(x, 0)"
def min(x): return "this reduces over elements or an axis (its second argument): along the axis that each request names, write rowmin(x); for elementwise use minimum(x, 0)"
def select(condlist, choicelist): return "lists of conditions are not supported: write x if condition else y"
