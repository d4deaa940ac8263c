def swiglu(x, gate):
    """x * silu(gate) (Shazeer 2020, who writes the gate first).

    The gate of Llama is its gate_proj, x its up_proj.
    """
    return x * silu(gate)
