def relu6(x):
    """min(max(x, 0), 6). The gradient at 0 and at 6 is 0."""
    if x <= 0:
        return 0
    return 6 if x >= 6 else x
