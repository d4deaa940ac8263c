def hardshrink(x, lambd=0.5):
    """0 in [-lambd, lambd], x outside. It jumps; the gradient there is 0."""
    return 0 if -lambd <= x <= lambd else x
