def silu(x):
    """x * sigmoid(x) (Elfwing et al. 2018). -0 at -inf."""
    return x * sigmoid(x)
