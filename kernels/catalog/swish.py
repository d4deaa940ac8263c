def swish(x, beta=1.0):
    """x * sigmoid(beta * x) (Ramachandran et al. 2017).

    -0 where beta * x is -inf.
    """
    z = beta * x
    return -0.0 if z == -inf else x * sigmoid(z)
