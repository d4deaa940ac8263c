def hardswish(x):
    """x * relu6(x + 3) / 6 (Howard et al. 2019).

    The gradient is 0 at -3 and 1 at 3; PyTorch has -0.5 and 1.5 there.
    """
    if x <= -3:
        return 0
    return x if x >= 3 else x * (x + 3) / 6
