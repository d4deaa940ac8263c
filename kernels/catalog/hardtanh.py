def hardtanh(x, min_val=-1.0, max_val=1.0):
    """x clipped to [min_val, max_val]. The gradient at both bounds is 0."""
    if x <= min_val:
        return min_val
    return max_val if x >= max_val else x
