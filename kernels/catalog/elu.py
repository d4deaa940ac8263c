def elu(x, alpha=1.0):
    """x above 0, alpha * (exp(x) - 1) below (Clevert et al. 2015).

    The gradient at 0 is alpha: that of the lower branch.
    """
    return x if x > 0 else alpha * expm1(x)
