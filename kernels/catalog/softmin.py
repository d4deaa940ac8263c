def softmin(x):
    """softmax(-x), as PyTorch defines it: the smallest element weighs most.

    A row with NaN or -inf is NaN everywhere, and so is one of +inf alone; +inf
    among other numbers gives 0. A row of one element gives 1.
    """
    e = exp(rowmin(x) - x)
    return e / rowsum(e)
