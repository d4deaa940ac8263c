def tanh(x):
    """The hyperbolic tangent."""
    return math.tanh(x)
