def spike_fast_sigmoid(x, slope=25.0):
    """A spiking neuron: 1 where x >= 0, the potential above the threshold.

    The gradient is declared: that of x / (1 + slope * abs(x)), of SuperSpike
    (Zenke & Ganguli 2018), with snnTorch's slope. snnTorch's fires above the
    threshold only. The gradient by slope is 0.
    """
    return 1.0 if x >= 0 else 0.0


def spike_fast_sigmoid_grad(x, dy, slope=25.0):
    q = 1 / (1 + slope * abs(x))
    return dy * q * q, 0.0
