def squareplus(x, b=4.0):
    """(x + sqrt(x*x + b)) / 2 (Barron 2021), for b > 0.

    Below 0 the sum would cancel, so it is b / (2 * (sqrt(x*x + b) - x)) there;
    where x*x would overflow the root is abs(x).
    """
    r = sqrt(x * x + b) if abs(x) < 1e15 else abs(x)
    return 0.5 * (x + r) if x >= 0 else 0.5 * b / (r - x)
