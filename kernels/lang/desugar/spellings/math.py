def ceil(x, /): return ceil(x)
def floor(x, /): return floor(x)
def trunc(x, /): return trunc(x)
def exp(x, /): return exp(x)
def exp2(x, /): return exp2(x)
def expm1(x, /): return expm1(x)
def log(x, /): return log(x)
def log(x, base, /): return log(x) / log(base)
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
def erf(x, /): return erf(x)
def erfc(x, /): return erfc(x)
def fabs(x, /): return abs(x)
def atan2(y, x, /): return atan2(y, x)
def pow(x, y, /): return x ** y
def fmod(x, y, /): return fmod(x, y)
def isnan(x, /): return not abs(x) <= inf
def isinf(x, /): return abs(x) == inf
def isfinite(x, /): return abs(x) < inf
def radians(x, /): return x * 0.017453292519943295
def degrees(x, /): return x * 57.29577951308232
def copysign(x, y, /): return -abs(x) if y < 0 or (y == 0 and 1 / y < 0) else abs(x)
def remainder(a, b): return "this rounds the quotient: write a % b or fmod(a, b)"
