def add(a, b): return a + b
def subtract(a, b): return a - b
def sub(a, b): return a - b
def multiply(a, b): return a * b
def mul(a, b): return a * b
def divide(a, b): return a / b
def div(a, b): return a / b
def true_divide(a, b): return a / b
def truediv(a, b): return a / b
def negative(x): return -x
def neg(x): return -x
def power(a, b): return a ** b
def pow(a, b): return a ** b
def mod(a, b): return a % b
def remainder(a, b): return a % b
def floormod(a, b): return a % b
def floor_mod(a, b): return a % b
def floor_div(a, b): return a // b
def floordiv(a, b): return a // b
def floor_divide(a, b): return a // b
def maximum(a, b): return max(a, b)
def minimum(a, b): return min(a, b)
def absolute(x): return abs(x)
def reciprocal(x): return 1 / x
def rsqrt(x): return 1 / sqrt(x)
def square(x): return x ** 2
def less(a, b): return a < b
def less_equal(a, b): return a <= b
def greater(a, b): return a > b
def greater_equal(a, b): return a >= b
def equal(a, b): return a == b
def not_equal(a, b): return a != b
def logical_and(a, b): return a and b
def logical_or(a, b): return a or b
def logical_not(a): return not a
def isnan(x): return not abs(x) <= inf
def isinf(x): return abs(x) == inf
def isfinite(x): return abs(x) < inf
def where(condition, x, y): return x if condition else y
def zeros_like(x, dtype=0): return 0.0
def ones_like(x, dtype=0): return 1.0
def full_like(x, fill_value, dtype=0): return fill_value
def expit(x): return sigmoid(x)
def swish(x): return silu(x)
def log_sigmoid(x): return logsigmoid(x)
def tanh_shrink(x): return tanhshrink(x)
def hard_tanh(x): return hardtanh(x)
def hard_shrink(x): return hardshrink(x)
def soft_shrink(x): return softshrink(x)
def soft_sign(x): return softsign(x)
def identity(x): return x
def arccos(x): return acos(x)
def arccosh(x): return acosh(x)
def arcsin(x): return asin(x)
def arcsinh(x): return asinh(x)
def arctan(x): return atan(x)
def arctan2(a, b): return atan2(a, b)
def arctanh(x): return atanh(x)
def fabs(x): return abs(x)
def rint(x): return round(x)
def fix(x): return trunc(x)
def select(condition, x, y): return x if condition else y
def int(x): return trunc(x)
def bool(x): return x != 0
def sum(x): return "this adds elements: an activation sees one element at a time"
def len(x): return "shapes are not visible here: the result has the input's shape"
def print(x): return "this is not part of an activation: remove this line"
def isinstance(x, y): return "this is not part of an activation: the inputs are numbers"
def range(n): return "this may stand only in for i in range(N)"
