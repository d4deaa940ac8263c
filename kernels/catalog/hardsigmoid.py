def hardsigmoid(x):
    """relu6(x + 3) / 6. The gradient at -3 and 3 is 0.

    Keras 2 has another function of this name, 0.2 * x + 0.5 clipped.
    """
    if x <= -3:
        return 0
    return 1 if x >= 3 else (x + 3) / 6
