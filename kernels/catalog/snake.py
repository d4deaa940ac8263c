def snake(x, a=1.0):
    """x + sin(a * x)**2 / a (Ziyin et al. 2020), for a other than 0."""
    return x + sin(a * x) ** 2 / a
