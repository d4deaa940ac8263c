def softshrink(x, lambd=0.5):
    """x moved towards 0 by lambd, 0 in [-lambd, lambd].

    The gradient at +-lambd is 0.
    """
    if -lambd <= x <= lambd:
        return 0
    return x - lambd if x > 0 else x + lambd
