def gelu_tanh(x):
    """The tanh approximation of gelu (Hendrycks and Gimpel 2016).

    Rewritten to x * sigmoid(2u), which keeps the left tail that 1 + tanh(u)
    cancels away.
    """
    return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
