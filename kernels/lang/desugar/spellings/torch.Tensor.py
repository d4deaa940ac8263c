def ceil(self, /): return ceil(self)
def floor(self, /): return floor(self)
def trunc(self, /): return trunc(self)
def sign(self, /): return 1.0 if self > 0 else (-1.0 if self < 0 else 0.0)
def exp(self, /): return exp(self)
def exp2(self, /): return exp2(self)
def expm1(self, /): return expm1(self)
def log(self, /): return log(self)
def log2(self, /): return log2(self)
def log10(self, /): return log10(self)
def log1p(self, /): return log1p(self)
def sqrt(self, /): return sqrt(self)
def sin(self, /): return sin(self)
def cos(self, /): return cos(self)
def tan(self, /): return tan(self)
def asin(self, /): return asin(self)
def acos(self, /): return acos(self)
def atan(self, /): return atan(self)
def sinh(self, /): return sinh(self)
def cosh(self, /): return cosh(self)
def tanh(self, /): return tanh(self)
def asinh(self, /): return asinh(self)
def acosh(self, /): return acosh(self)
def atanh(self, /): return atanh(self)
def erf(self, /): return erf(self)
def erfc(self, /): return erfc(self)
def sigmoid(self, /): return sigmoid(self)
def abs(self, /): return abs(self)
def round(self, /): return round(self)
def fix(self, /): return trunc(self)
def sgn(self, /): return 1.0 if self > 0 else (-1.0 if self < 0 else 0.0)
def absolute(self, /): return abs(self)
def arccos(self, /): return acos(self)
def arccosh(self, /): return acosh(self)
def arcsin(self, /): return asin(self)
def arcsinh(self, /): return asinh(self)
def arctan(self, /): return atan(self)
def arctanh(self, /): return atanh(self)
def atan2(self, /, other): return atan2(self, other)
def arctan2(self, /, other): return atan2(self, other)
def add(self, other): return self + other
def add(self, other, *, alpha): return self + alpha * other
def sub(self, other): return self - other
def sub(self, other, *, alpha): return self - alpha * other
def subtract(self, other): return self - other
def subtract(self, other, *, alpha): return self - alpha * other
def mul(self, /, other): return self * other
def multiply(self, /, other): return self * other
def div(self, /, other): return self / other
def divide(self, /, other): return self / other
def true_divide(self, /, other): return self / other
def pow(self, /, exponent): return self ** exponent
def float_power(self, /, exponent): return self ** exponent
def neg(self, /): return -self
def negative(self, /): return -self
def positive(self, /): return self
def remainder(self, /, other): return self % other
def floor_divide(self, /, other): return self // other
def fmod(self, /, other): return fmod(self, other)
def maximum(self, /, other): return max(self, other)
def minimum(self, /, other): return min(self, other)
def reciprocal(self, /): return 1 / self
def rsqrt(self, /): return 1 / sqrt(self)
def square(self, /): return self ** 2
def less(self, /, other): return self < other
def lt(self, /, other): return self < other
def less_equal(self, /, other): return self <= other
def le(self, /, other): return self <= other
def greater(self, /, other): return self > other
def gt(self, /, other): return self > other
def greater_equal(self, /, other): return self >= other
def ge(self, /, other): return self >= other
def eq(self, /, other): return self == other
def not_equal(self, /, other): return self != other
def ne(self, /, other): return self != other
def logical_and(self, /, other): return self and other
def logical_or(self, /, other): return self or other
def logical_not(self, /): return not self
def logical_xor(self, /, other): return (self and not other) or (other and not self)
def isnan(self, /): return not abs(self) <= inf
def isinf(self, /): return abs(self) == inf
def isfinite(self, /): return abs(self) < inf
def where(self, condition, other): return self if condition else other
def logit(self): return 2 * atanh(2 * self - 1) if 0.3 < self and self < 0.65 else log(self / (1 - self))
def logit(self, eps): return log(clamp(self, eps, 1 - eps) / (1 - clamp(self, eps, 1 - eps)))
def xlogy(self, /, other): return 0.0 if self == 0 and abs(other) <= inf else self * log(other)
def heaviside(self, /, values): return values if self == 0 else (1.0 if self > 0 else 0.0)
def logaddexp(self, /, other): return 0.5 * self + 0.5 * other + 0.6931471805599453 if self == other else (self if self > other else other) + log1p(exp(-abs(self - other)))
def logaddexp2(self, /, other): return 0.5 * self + 0.5 * other + 1.0 if self == other else (self if self > other else other) + log1p(exp2(-abs(self - other))) * 1.4426950408889634
def deg2rad(self, /): return self * 0.017453292519943295
def rad2deg(self, /): return self * 57.29577951308232
def frac(self, /): return self - trunc(self)
def lerp(self, /, end, weight): return self + weight * (end - self) if abs(weight) < 0.5 else end - (end - self) * (1 - weight)
def clamp_min(self, /, min): return clamp(self, min, inf)
def clamp_max(self, /, max): return clamp(self, -inf, max)
def clone(self): return self
def contiguous(self): return self
def relu(self, /): return relu(self)
def hardshrink(self, /, lambd=0.5): return hardshrink(self, lambd)
def prelu(self, /, weight): return prelu(self, weight)
def float(self): return float(self)
def double(self): return float(self)
def type_as(self, other): return float(self)
def to(self, dtype): return float(self)
def type(self, dtype): return float(self)
def copysign(self, /, other): return -abs(self) if other < 0 or (other == 0 and 1 / other < 0) else abs(self)
def clamp(self, min=None, max=None): return clamp(self, min, max)
def clip(self, min=None, max=None): return clamp(self, min, max)
def max(self, other): return max(self, other)
def min(self, other): return min(self, other)
def detach(x): return "not supported: write the gradient as a second function, def f_grad(x, dy)"
def item(x): return "not needed: the values here are single numbers already"
def max(x): return "this reduces over elements or an axis: along the axis that each request names, write rowmax(x); for elementwise use x.clamp(min=0)"
def min(x): return "this reduces over elements or an axis: along the axis that each request names, write rowmin(x); for elementwise use x.clamp(max=0)"
def select(input, dim, index): return "this selects a part of the tensor: an activation sees one element at a time"
def equal(input, other): return "this compares whole tensors: write x == y"
