def gelu(x):
    """x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016).

    The usual 0.5 * x * (1 + erf(x / sqrt(2))) returns 0 below about -5.5 in
    float32, where the value is still a normal number; this one keeps it.
    """
    return x * normcdf(x)
