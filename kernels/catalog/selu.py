def selu(x):
    """Self-normalising elu: fixed scale and alpha (Klambauer et al. 2017).

    The gradient at 0 is that of the lower branch, scale * alpha = 1.758.
    """
    scale = 1.0507009873554804934193349852946
    scale_alpha = 1.7580993408473768599402175208123
    return scale * x if x > 0 else scale_alpha * expm1(x)
