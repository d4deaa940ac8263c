def quick_gelu(x):
    """x * sigmoid(1.702 * x), the logistic approximation of gelu.

    (Hendrycks and Gimpel 2016.)
    """
    return x * sigmoid(1.702 * x)
