def entmax15(x):
    """Between softmax and sparsemax: 1.5-entmax (Peters, Niculae, Martins 2019).

    max(x / 2 - tau, 0)**2, tau such that the row adds up to 1. Far below the
    largest element it is exactly 0, and so is the gradient, also where x / 2 is
    tau. As of softmax, a row with NaN or +inf is NaN everywhere, and so is one
    of -inf alone; -inf among other numbers gives 0. A row of one element gives
    1.
    """
    d = (x - rowmax(x)) / 2
    # tau is at least -1 here. The sorted row tells which elements are above it;
    # tau is then computed from these, so that equal elements have equal shares.
    z = rowsorted(clamp(d, -1, 0))
    i = rowindex(x) + 1
    m = rowcumsum(z) / i
    taus = m - sqrt(clamp((1 - rowcumsum(z * z)) / i + m * m, 0, 1))
    k = rowsum(0.0 if z <= taus else 1.0)
    t = rowsum(taus if i == k else 0.0)
    n = rowsum(0.0 if d <= t else 1.0)
    mean = rowsum(0.0 if d <= t else d) / n
    c = d - mean
    tau = mean - sqrt((1 - rowsum(0.0 if d <= t else c * c)) / n)
    return 0.0 if d <= tau else (d - tau) ** 2
