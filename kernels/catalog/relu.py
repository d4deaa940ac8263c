def relu(x):
    """max(x, 0), but 0 at 0 has gradient 0, and NaN stays NaN."""
    return 0 if x <= 0 else x
