def relu(x, *, alpha): return leaky_relu(x, alpha)
def relu(x, *, alpha=0.0, max_value=None, threshold=0.0): return (max_value if x >= max_value else x) if x >= threshold else alpha * (x - threshold)
def leaky_relu(x, *, alpha): return leaky_relu(x, alpha)
