def mish(x):
    """x * tanh(softplus(x)) (Misra 2019).

    Computed with one exponential: x * n / (n + 2), n = e^x * (e^x + 2).
    """
    return x * tanh(softplus(x))
