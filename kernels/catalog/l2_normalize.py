def l2_normalize(x, eps=1e-12):
    """x / max(norm, eps), norm the Euclidean length of the row.

    PyTorch's normalize. TensorFlow's l2_normalize bounds the square of the norm
    by the same 1e-12, so shorter rows differ: it is l2_normalize(x, 1e-6) here.
    A row of zeros gives zeros, and its gradient is that of x / eps. An infinity
    gives NaN and makes the finite elements of its row 0; a row with NaN is NaN
    everywhere. Squares overflow from 2e19 on in float32, which makes the row 0.
    """
    return x / max(sqrt(rowsum(x * x)), eps)
