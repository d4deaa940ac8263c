def sigmoid(x):
    """The logistic function 1 / (1 + exp(-x)).

    The formula overflows far to the left, and its gradient with it; it is
    rewritten to the primitive of the same name, which does not.
    """
    return 1 / (1 + exp(-x))
