def silu(x):
    """x * sigmoid(x), also called swish (Elfwing et al. 2018).

    -0 at -inf. The gradient has a root near -1.278.
    """
    return x * sigmoid(x)
