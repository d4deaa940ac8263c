def ceil(input, *, out=None): return ceil(input)
def floor(input, *, out=None): return floor(input)
def trunc(input, *, out=None): return trunc(input)
def sign(input, *, out=None): return 1.0 if input > 0 else (-1.0 if input < 0 else 0.0)
def exp(input, *, out=None): return exp(input)
def exp2(input, *, out=None): return exp2(input)
def expm1(input, *, out=None): return expm1(input)
def log(input, *, out=None): return log(input)
def log2(input, *, out=None): return log2(input)
def log10(input, *, out=None): return log10(input)
def log1p(input, *, out=None): return log1p(input)
def sqrt(input, *, out=None): return sqrt(input)
def sin(input, *, out=None): return sin(input)
def cos(input, *, out=None): return cos(input)
def tan(input, *, out=None): return tan(input)
def asin(input, *, out=None): return asin(input)
def acos(input, *, out=None): return acos(input)
def atan(input, *, out=None): return atan(input)
def sinh(input, *, out=None): return sinh(input)
def cosh(input, *, out=None): return cosh(input)
def tanh(input, *, out=None): return tanh(input)
def asinh(input, *, out=None): return asinh(input)
def acosh(input, *, out=None): return acosh(input)
def atanh(input, *, out=None): return atanh(input)
def erf(input, *, out=None): return erf(input)
def erfc(input, *, out=None): return erfc(input)
def sigmoid(input, *, out=None): return sigmoid(input)
def abs(input, *, out=None): return abs(input)
def round(input, *, decimals=0, out=None): return round(input)
def fix(input, *, out=None): return trunc(input)
def sgn(input, *, out=None): return 1.0 if input > 0 else (-1.0 if input < 0 else 0.0)
def absolute(input, *, out=None): return abs(input)
def arccos(input, *, out=None): return acos(input)
def arccosh(input, *, out=None): return acosh(input)
def arcsin(input, *, out=None): return asin(input)
def arcsinh(input, *, out=None): return asinh(input)
def arctan(input, *, out=None): return atan(input)
def arctanh(input, *, out=None): return atanh(input)
def atan2(input, other, *, out=None): return atan2(input, other)
def arctan2(input, other, *, out=None): return atan2(input, other)
def add(input, other): return input + other
def add(input, other, *, alpha): return input + alpha * other
def sub(input, other): return input - other
def sub(input, other, *, alpha): return input - alpha * other
def subtract(input, other): return input - other
def subtract(input, other, *, alpha): return input - alpha * other
def mul(input, other, *, out=None): return input * other
def multiply(input, other, *, out=None): return input * other
def div(input, other, *, rounding_mode=None, out=None): return input / other
def divide(input, other, *, rounding_mode=None, out=None): return input / other
def true_divide(input, other): return input / other
def pow(input, exponent, *, out=None): return input ** exponent
def float_power(input, exponent, *, out=None): return input ** exponent
def neg(input, *, out=None): return -input
def negative(input, *, out=None): return -input
def positive(input): return input
def remainder(input, other, *, out=None): return input % other
def floor_divide(input, other, *, out=None): return input // other
def fmod(input, other, *, out=None): return fmod(input, other)
def maximum(input, other, *, out=None): return max(input, other)
def minimum(input, other, *, out=None): return min(input, other)
def reciprocal(input, *, out=None): return 1 / input
def rsqrt(input, *, out=None): return 1 / sqrt(input)
def square(input, *, out=None): return input ** 2
def less(input, other, *, out=None): return input < other
def lt(input, other, *, out=None): return input < other
def less_equal(input, other, *, out=None): return input <= other
def le(input, other, *, out=None): return input <= other
def greater(input, other, *, out=None): return input > other
def gt(input, other, *, out=None): return input > other
def greater_equal(input, other, *, out=None): return input >= other
def ge(input, other, *, out=None): return input >= other
def eq(input, other, *, out=None): return input == other
def not_equal(input, other, *, out=None): return input != other
def ne(input, other, *, out=None): return input != other
def logical_and(input, other, *, out=None): return input and other
def logical_or(input, other, *, out=None): return input or other
def logical_not(input, *, out=None): return not input
def logical_xor(input, other, *, out=None): return (input and not other) or (other and not input)
def isnan(input): return not abs(input) <= inf
def isinf(input): return abs(input) == inf
def isfinite(input): return abs(input) < inf
def where(condition, input, other, *, out=None): return input if condition else other
def zeros_like(input, *, dtype=None, device=None): return 0.0
def ones_like(input, *, dtype=None, device=None): return 1.0
def full_like(input, fill_value, *, dtype=None, device=None): return fill_value
def logit(input): return 2 * atanh(2 * input - 1) if 0.3 < input and input < 0.65 else log(input / (1 - input))
def logit(input, eps): return log(clamp(input, eps, 1 - eps) / (1 - clamp(input, eps, 1 - eps)))
def xlogy(input, other, *, out=None): return 0.0 if input == 0 and abs(other) <= inf else input * log(other)
def heaviside(input, values, *, out=None): return values if input == 0 else (1.0 if input > 0 else 0.0)
def logaddexp(input, other, *, out=None): return 0.5 * input + 0.5 * other + 0.6931471805599453 if input == other else (input if input > other else other) + log1p(exp(-abs(input - other)))
def logaddexp2(input, other, *, out=None): return 0.5 * input + 0.5 * other + 1.0 if input == other else (input if input > other else other) + log1p(exp2(-abs(input - other))) * 1.4426950408889634
def deg2rad(input, *, out=None): return input * 0.017453292519943295
def rad2deg(input, *, out=None): return input * 57.29577951308232
def frac(input, *, out=None): return input - trunc(input)
def lerp(input, end, weight, *, out=None): return input + weight * (end - input) if abs(weight) < 0.5 else end - (end - input) * (1 - weight)
def clamp_min(input, min): return clamp(input, min, inf)
def clamp_max(input, max): return clamp(input, -inf, max)
def clone(input): return input
def relu(input): return relu(input)
def selu(input): return selu(input)
def celu(input, alpha=1.0): return celu(input, alpha)
def hardshrink(input, lambd=0.5): return hardshrink(input, lambd)
def threshold(input, threshold, value): return threshold(input, threshold, value)
def prelu(input, weight): return prelu(input, weight)
def tensor(data, *, dtype=None, device=None, requires_grad=False): return data
def as_tensor(data, *, dtype=None, device=None): return data
def copysign(input, other, *, out=None): return -abs(input) if other < 0 or (other == 0 and 1 / other < 0) else abs(input)
def clamp(input, min=None, max=None): return clamp(input, min, max)
def clip(input, min=None, max=None): return clamp(input, min, max)
def max(input, other): return max(input, other)
def min(input, other): return min(input, other)
def max(x): return "this reduces over elements or an axis: along the axis that each request names, write rowmax(x); for elementwise use x.clamp(min=0)"
def min(x): return "this reduces over elements or an axis: along the axis that each request names, write rowmin(x); for elementwise use x.clamp(max=0)"
def select(input, dim, index): return "this selects a part of the tensor: an activation sees one element at a time"
def equal(input, other): return "this compares whole tensors: write x == y"
