def quick_gelu(x):
    """x * sigmoid(1.702 * x), the logistic approximation of gelu.

    (Hendrycks and Gimpel 2016.) -0 at -inf, where the formula has inf * 0.
    """
    z = 1.702 * x
    return -0.0 if z == -inf else x * sigmoid(z)
