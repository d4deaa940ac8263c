def arctan(x):
    """The inverse tangent, in radians."""
    return atan(x)
