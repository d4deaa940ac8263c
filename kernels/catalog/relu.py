def relu(x):
    """max(x, 0), the rectified linear unit.

    The gradient at 0 is 0. NaN stays NaN, in the gradient too; the usual
    `x if x > 0 else 0` would hide it.
    """
    return 0 if x <= 0 else x


def relu_grad(x, dy):
    if x <= 0:
        return 0
    return dy if x > 0 else dy * x
