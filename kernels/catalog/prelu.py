def prelu(x, a=0.25):
    """Leaky relu with a slope that is trained (He et al. 2015).

    Give the slope as a tensor for one per channel.

    The gradient at 0 is the slope. d/da is x below 0 and 0 above.
    """
    return x if x > 0 else a * x
