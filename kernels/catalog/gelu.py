def gelu(x):
    """x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016)."""
    return x * normcdf(x)
