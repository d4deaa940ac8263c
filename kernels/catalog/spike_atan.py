def spike_atan(x, alpha=2.0):
    """A spiking neuron: 1 where x >= 0, the potential above the threshold.

    The gradient is declared: that of atan(pi / 2 * alpha * x) / pi (Fang et al.
    2021), as in SpikingJelly. snnTorch's fires above the threshold only. The
    gradient by alpha is 0.
    """
    return 1.0 if x >= 0 else 0.0


def spike_atan_grad(x, dy, alpha=2.0):
    return dy * (alpha / 2) / (1 + (pi / 2 * alpha * x) ** 2), 0.0
