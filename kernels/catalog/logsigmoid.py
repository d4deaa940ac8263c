def logsigmoid(x):
    """log(sigmoid(x)) = -softplus(-x). Never -inf for a finite x."""
    return -log(1 + exp(-x))
