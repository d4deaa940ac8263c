def softsign(x):
    """x / (1 + abs(x)). 1 and -1 at the infinities.

    The gradient is written out because the quotient rule cancels:
    1 + abs(x) - abs(x) is 0 where x is large.
    """
    return x / (1 + abs(x)) if abs(x) < inf else sign(x)


def softsign_grad(x, dy):
    r = 1 / (1 + abs(x))
    return dy * (r * r)
