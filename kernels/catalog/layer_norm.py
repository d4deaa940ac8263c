def layer_norm(x, weight=1, bias=0, eps=1e-5):
    """(x - mean) / sqrt(variance + eps) * weight + bias, of the row.

    Layer normalization (Ba et al. 2016), as torch.nn.functional.layer_norm.
    Give weight and bias as tensors along the axis of the rows, as there, or
    along another. The rest is that of standardize.
    """
    d = x - rowmean(x)
    return d / sqrt(rowmean(d * d) + eps) * weight + bias
