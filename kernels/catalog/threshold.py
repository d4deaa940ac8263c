def threshold(x, theta=1.0, value=0.0):
    """x above theta, otherwise value. The gradient at theta is 0."""
    return value if x <= theta else x
