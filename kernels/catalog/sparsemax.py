def sparsemax(x):
    """The point of the simplex nearest to the row (Martins & Astudillo 2016).

    max(x - tau, 0), tau such that the row adds up to 1. Far below the largest
    element it is exactly 0, and so is the gradient, also where x is tau. As of
    softmax, a row with NaN or +inf is NaN everywhere, and so is one of -inf
    alone; -inf among other numbers gives 0. A row of one element gives 1.
    """
    d = x - rowmax(x)
    # tau is at least -1 here. The sorted row tells which elements are above it;
    # tau is then computed from these, so that equal elements have equal shares.
    z = rowsorted(clamp(d, -1, 0))
    k = rowsum(0.0 if 1 + (rowindex(x) + 1) * z <= rowcumsum(z) else 1.0)
    t = (rowsum(z if rowindex(x) < k else 0.0) - 1) / k
    n = rowsum(0.0 if d <= t else 1.0)
    tau = (rowsum(0.0 if d <= t else d) - 1) / n
    # The gradient, too, is NaN where tau is.
    one = 1.0 if tau <= 0 else nan
    return 0.0 if d <= tau else one * (d - tau)
