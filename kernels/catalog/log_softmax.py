def log_softmax(x):
    """log(softmax(x)). Finite where softmax(x) rounds to 0.

    Where one element dominates, its result is near 0 and right to an ulp of 1.
    As in PyTorch, a row with NaN or +inf is NaN everywhere, and so is one of
    -inf alone; -inf among other numbers gives -inf. A row of one element
    gives 0.
    """
    z = x - rowmax(x)
    return z - log(rowsum(exp(z)))
