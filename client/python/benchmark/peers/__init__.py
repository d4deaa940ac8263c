"""One training step of silu by each of those that are compared.

The arrays are the caller's: x and dy go in, y and dx come out, and a loss, y
times dy, is computed between the forward and the backward pass.
"""
