def standardize(x, eps=1e-5):
    """(x - mean) / sqrt(variance + eps), of the row, as jax.nn.standardize.

    Layer normalization (Ba et al. 2016) without its scale and shift. The
    variance is that of the row itself: the sum of squares is divided by the
    number of elements, not by one less. As in PyTorch, a row with NaN or an
    infinity is NaN everywhere. A row of one element gives 0.
    """
    d = x - rowmean(x)
    return d / sqrt(rowmean(d * d) + eps)
