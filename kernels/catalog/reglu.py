def reglu(x, gate):
    """x * relu(gate) (Shazeer 2020, who writes the gate first)."""
    return x * relu(gate)
