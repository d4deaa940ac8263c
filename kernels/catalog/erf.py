def erf(x):
    """The error function. Its gradient is 2 / sqrt(pi) * exp(-x*x)."""
    return math.erf(x)
