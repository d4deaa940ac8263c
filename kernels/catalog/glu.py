def glu(x, gate):
    """x * sigmoid(gate), a gated linear unit (Dauphin et al. 2017).

    PyTorch's glu of a tensor whose first half is x and whose second is gate.
    """
    return x * sigmoid(gate)
