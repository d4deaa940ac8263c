def squareplus(x, b=4.0):
    """(x + sqrt(x*x + b)) / 2 (Barron 2021), for b > 0.

    Below 0 the sum would cancel, so it is b / (2 * (sqrt(x*x + b) - x)) there;
    where x*x would overflow the root is abs(x), and halves are taken first so
    that the sum does not.
    """
    half = 0.5 * x
    half_root = 0.5 * (sqrt(x * x + b) if abs(x) < 1e15 else abs(x))
    return half + half_root if x >= 0 else 0.25 * b / (half_root - half)
