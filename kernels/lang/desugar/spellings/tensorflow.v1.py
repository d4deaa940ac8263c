def ceil(x, name=None): return ceil(x)
def floor(x, name=None): return floor(x)
def sign(x, name=None): return sign(x)
def exp(x, name=None): return exp(x)
def expm1(x, name=None): return expm1(x)
def log(x, name=None): return log(x)
def log1p(x, name=None): return log1p(x)
def sqrt(x, name=None): return sqrt(x)
def sin(x, name=None): return sin(x)
def cos(x, name=None): return cos(x)
def tan(x, name=None): return tan(x)
def asin(x, name=None): return asin(x)
def acos(x, name=None): return acos(x)
def atan(x, name=None): return atan(x)
def sinh(x, name=None): return sinh(x)
def cosh(x, name=None): return cosh(x)
def tanh(x, name=None): return tanh(x)
def asinh(x, name=None): return asinh(x)
def acosh(x, name=None): return acosh(x)
def atanh(x, name=None): return atanh(x)
def erf(x, name=None): return erf(x)
def erfc(x, name=None): return erfc(x)
def sigmoid(x, name=None): return sigmoid(x)
def abs(x, name=None): return abs(x)
def round(x, name=None): return round(x)
def rint(x, name=None): return round(x)
def atan2(y, x, name=None): return atan2(y, x)
def add(x, y, name=None): return x + y
def subtract(x, y, name=None): return x - y
def multiply(x, y, name=None): return x * y
def div(x, y, name=None): return x / y
def divide(x, y, name=None): return x / y
def truediv(x, y, name=None): return x / y
def pow(x, y, name=None): return x ** y
def negative(x, name=None): return -x
def mod(x, y, name=None): return x % y
def floormod(x, y, name=None): return x % y
def floor_div(x, y, name=None): return floor(x / y)
def floordiv(x, y, name=None): return floor(x / y)
def truncatemod(x, y, name=None): return fmod(x, y)
def maximum(x, y, name=None): return max(x, y)
def minimum(x, y, name=None): return min(x, y)
def reciprocal(x, name=None): return 1 / x
def rsqrt(x, name=None): return 1 / sqrt(x)
def square(x, name=None): return x ** 2
def less(x, y, name=None): return x < y
def less_equal(x, y, name=None): return x <= y
def greater(x, y, name=None): return x > y
def greater_equal(x, y, name=None): return x >= y
def equal(x, y, name=None): return x == y
def not_equal(x, y, name=None): return x != y
def logical_and(x, y, name=None): return x and y
def logical_or(x, y, name=None): return x or y
def logical_not(x, name=None): return not x
def logical_xor(x, y, name='LogicalXor'): return (x and not y) or (y and not x)
def is_nan(x, name=None): return not abs(x) <= inf
def is_inf(x, name=None): return abs(x) == inf
def is_finite(x, name=None): return abs(x) < inf
def where(condition, x, y, name=None): return x if condition else y
def zeros_like(tensor, dtype=None, name=None, optimize=True): return 0.0
def ones_like(tensor, dtype=None, name=None, optimize=True): return 1.0
def div_no_nan(x, y, name=None): return 0.0 if y == 0 else x / y
def squared_difference(x, y, name=None): return (x - y) ** 2
def identity(input, name=None): return input
def log_sigmoid(x, name=None): return logsigmoid(x)
def cast(x, dtype, name=None): return float(x)
def to_float(x, name='ToFloat'): return float(x)
def to_double(x, name='ToDouble'): return float(x)
def constant(value, dtype=None, shape=None, name='Const', verify_shape=False): return value
def convert_to_tensor(value, dtype=None, name=None, preferred_dtype=None, dtype_hint=None): return value
def clip_by_value(t, clip_value_min, clip_value_max, name=None): return clip_value_min if t < clip_value_min or (clip_value_max < clip_value_min and abs(t) <= inf) else (clip_value_max if t > clip_value_max else t)
