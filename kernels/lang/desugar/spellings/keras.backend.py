def sign(x): return sign(x)
def exp(x): return exp(x)
def log(x): return log(x)
def sqrt(x): return sqrt(clamp(x, 0, inf))
def sin(x): return sin(x)
def cos(x): return cos(x)
def tanh(x): return tanh(x)
def sigmoid(x): return sigmoid(x)
def softplus(x): return softplus(x)
def softsign(x): return softsign(x)
def abs(x): return abs(x)
def round(x): return round(x)
def pow(x, a): return x ** a
def maximum(x, y): return max(x, y)
def minimum(x, y): return min(x, y)
def square(x): return x ** 2
def less(x, y): return x < y
def less_equal(x, y): return x <= y
def greater(x, y): return x > y
def greater_equal(x, y): return x >= y
def equal(x, y): return x == y
def not_equal(x, y): return x != y
def zeros_like(x, dtype=None, name=None): return 0.0
def ones_like(x, dtype=None, name=None): return 1.0
def relu(x): return relu(x)
def relu(x, alpha): return leaky_relu(x, alpha)
def relu(x, *, max_value): return hardtanh(x, 0.0, max_value)
def relu(x, alpha=0.0, max_value=None, threshold=0.0): return (max_value if x >= max_value else x) if x >= threshold else alpha * (x - threshold)
def elu(x, alpha=1.0): return elu(x, alpha)
def cast(x, dtype): return float(x)
def constant(value, dtype=None, shape=None, name=None): return value
def cast_to_floatx(x): return float(x)
def switch(condition, then_expression, else_expression): return then_expression if condition else else_expression
def epsilon(): return 1e-7
def clip(x, min_value, max_value): return min_value if x < min_value or (max_value < min_value and abs(x) <= inf) else (max_value if x > max_value else x)
def hard_sigmoid(x): return "this is 0.2*x + 0.5 in Keras 2 and relu6(x + 3)/6 in Keras 3: write the formula"
