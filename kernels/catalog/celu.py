def celu(x, alpha=1.0):
    """Elu with a continuous gradient for every alpha > 0 (Barron 2017)."""
    return x if x > 0 else alpha * expm1(x / alpha)
