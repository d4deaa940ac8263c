def ceil(x): return ceil(x)
def floor(x): return floor(x)
def trunc(x): return trunc(x)
def sign(x): return sign(x)
def exp(x): return exp(x)
def exp2(x): return exp2(x)
def expm1(x): return expm1(x)
def log(x): return log(x)
def log2(x): return log2(x)
def log10(x): return log10(x)
def log1p(x): return log1p(x)
def sqrt(x): return sqrt(x)
def sin(x): return sin(x)
def cos(x): return cos(x)
def tan(x): return tan(x)
def sinh(x): return sinh(x)
def cosh(x): return cosh(x)
def tanh(x): return tanh(x)
def erf(x): return erf(x)
def erfc(x): return erfc(x)
def sigmoid(x): return sigmoid(x)
def softplus(x): return softplus(x)
def softsign(x): return softsign(x)
def abs(x): return abs(x)
def round(x, decimals=0): return round(x)
def absolute(x): return abs(x)
def fabs(x): return abs(x)
def arccos(x): return acos(x)
def arccosh(x): return acosh(x)
def arcsin(x): return asin(x)
def arcsinh(x): return asinh(x)
def arctan(x): return atan(x)
def arctanh(x): return atanh(x)
def arctan2(x1, x2): return atan2(x1, x2)
def add(x1, x2): return x1 + x2
def subtract(x1, x2): return x1 - x2
def multiply(x1, x2): return x1 * x2
def divide(x1, x2): return x1 / x2
def true_divide(x1, x2): return x1 / x2
def power(x1, x2): return x1 ** x2
def negative(x): return -x
def mod(x1, x2): return x1 % x2
def floor_divide(x1, x2): return floor(x1 / x2)
def fmod(x1, x2): return fmod(x1, x2)
def maximum(x1, x2): return max(x1, x2)
def minimum(x1, x2): return min(x1, x2)
def reciprocal(x): return 1 / x
def rsqrt(x): return 1 / sqrt(x)
def square(x): return x ** 2
def less(x1, x2): return x1 < x2
def less_equal(x1, x2): return x1 <= x2
def greater(x1, x2): return x1 > x2
def greater_equal(x1, x2): return x1 >= x2
def equal(x1, x2): return x1 == x2
def not_equal(x1, x2): return x1 != x2
def logical_and(x1, x2): return x1 and x2
def logical_or(x1, x2): return x1 or x2
def logical_not(x): return not x
def logical_xor(x1, x2): return (x1 and not x2) or (x2 and not x1)
def isnan(x): return not abs(x) <= inf
def isinf(x): return abs(x) == inf
def isfinite(x): return abs(x) < inf
def where(condition, x1, x2): return x1 if condition else x2
def zeros_like(x, dtype=None): return 0.0
def ones_like(x, dtype=None): return 1.0
def full_like(x, fill_value, dtype=None): return fill_value
def divide_no_nan(x1, x2): return 0.0 if x2 == 0 else x1 / x2
def heaviside(x1, x2): return 0.0 if x1 < 0 else (1.0 if x1 > 0 else x2)
def logaddexp(x1, x2): return 0.5 * x1 + 0.5 * x2 + 0.6931471805599453 if x1 == x2 else (x1 if x1 > x2 else x2) + log1p(exp(-abs(x1 - x2)))
def logaddexp2(x1, x2): return 0.5 * x1 + 0.5 * x2 + 1.0 if x1 == x2 else (x1 if x1 > x2 else x2) + log1p(exp2(-abs(x1 - x2))) * 1.4426950408889634
def deg2rad(x): return x * 0.017453292519943295
def rad2deg(x): return x * 57.29577951308232
def copy(x): return x
def relu(x): return relu(x)
def relu6(x): return relu6(x)
def silu(x): return silu(x)
def selu(x): return selu(x)
def elu(x, alpha=1.0): return elu(x, alpha)
def celu(x, alpha=1.0): return celu(x, alpha)
def leaky_relu(x, negative_slope=0.2): return leaky_relu(x, negative_slope)
def swish(x): return silu(x)
def log_sigmoid(x): return logsigmoid(x)
def hard_tanh(x): return hardtanh(x)
def tanh_shrink(x): return tanhshrink(x)
def hard_shrink(x, threshold=0.5): return x if abs(x) > threshold else 0.0
def soft_shrink(x, threshold=0.5): return x - threshold if x > threshold else (x + threshold if x < -threshold else 0.0)
def squareplus(x, b=4): return squareplus(x, b)
def threshold(x, threshold, default_value): return x if x > threshold else default_value
def hard_silu(x): return hardswish(x)
def hard_swish(x): return hardswish(x)
def sparse_plus(x): return 0.0 if x <= -1 else (x if x >= 1 else 0.25 * (x + 1) ** 2)
def sparse_sigmoid(x): return clamp(0.5 * (x + 1), 0, 1)
def cast(x, dtype): return float(x)
def convert_to_tensor(x, dtype=None, sparse=None, ragged=None): return x
def clip(x, x_min, x_max): return x_min if x < x_min or (x_max < x_min and abs(x) <= inf) else (x_max if x > x_max else x)
def gelu(x, approximate=True): return gelu_tanh(x)
def gelu(x, approximate=False): return gelu(x)
def hard_sigmoid(x): return "this is 0.2*x + 0.5 in Keras 2 and relu6(x + 3)/6 in Keras 3: write the formula"
def select(condlist, choicelist): return "lists of conditions are not supported: write x if condition else y"
