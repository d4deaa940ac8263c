def floor(x, name=None): return floor(x)
def sign(x, name=None): return sign(x)
def exp(x, name=None): return exp(x)
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
def sigmoid(x, name=None): return sigmoid(x)
def abs(x, name=None): return abs(x)
def round(x, name=None): return round(x)
def atan2(y, x, name=None): return atan2(y, x)
def add(x, y, name=None): return x + y
def subtract(x, y, name=None): return x - y
def multiply(x, y, name=None): return x * y
def divide(x, y, name=None): return x / y
def truediv(x, y, name=None): return x / y
def pow(x, y, name=None): return x ** y
def negative(x, name=None): return -x
def truncatemod(x, y, name=None): return fmod(x, y)
def maximum(x, y, name=None): return max(x, y)
def minimum(x, y, name=None): return min(x, y)
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
def where(condition, x, y, name=None): return x if condition else y
def zeros_like(input, dtype=None, name=None, layout=None): return 0.0
def ones_like(input, dtype=None, name=None, layout=None): return 1.0
def identity(input, name=None): return input
def cast(x, dtype, name=None): return float(x)
def constant(value, dtype=None, shape=None, name='Const'): return value
def convert_to_tensor(value, dtype=None, dtype_hint=None, name=None): return value
def clip_by_value(t, clip_value_min, clip_value_max, name=None): return clip_value_min if t < clip_value_min or (clip_value_max < clip_value_min and abs(t) <= inf) else (clip_value_max if t > clip_value_max else t)
