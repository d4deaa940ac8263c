def geglu(x, gate):
    """x * gelu(gate) (Shazeer 2020, who writes the gate first)."""
    return x * gelu(gate)
