def rms_norm(x, eps=1e-6, weight=1):
    """x / sqrt(mean(x**2) + eps) * weight, of the row (Zhang and Sennrich 2019).

    Give the weight as a tensor along the axis of the rows, as in PyTorch, whose
    eps is that of the type unless given. As there, an infinity gives NaN and
    makes the finite elements of its row 0, and a row with NaN is NaN
    everywhere. Squares overflow from 2e19 on in float32, which makes the row 0.
    """
    return x / sqrt(rowmean(x * x) + eps) * weight
