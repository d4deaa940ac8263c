def exponential(x):
    """exp(x). inf above 88.7 in float32, 709.8 in float64, 11.1 in float16."""
    return exp(x)
