def softmax(x, temperature=1.0):
    """exp(x / T) over its sum in the row (Bridle 1990), T a temperature above 0.

    The maximum of the row is subtracted first, so nothing overflows. As in
    PyTorch, a row with NaN or +inf is NaN everywhere, and so is one of -inf
    alone; -inf among other numbers gives 0. A row of one element gives 1.
    """
    e = exp((x - rowmax(x)) / temperature)
    return e / rowsum(e)
