def swish(x, beta=1.0):
    """x * sigmoid(beta * x) (Ramachandran et al. 2017)."""
    return x * sigmoid(beta * x)
