def rrelu(x, lower=0.125, upper=0.3333333333333333, seed=0):
    """Leaky relu with a slope drawn for each element (Xu et al. 2015).

    The slope is uniform between `lower` and `upper`: PyTorch's in training. Give
    each step a seed of its own. For evaluation set both to (lower + upper) / 2:
    nothing is then random.
    """
    return x if x > 0 else (lower + (upper - lower) * uniform(seed)) * x
