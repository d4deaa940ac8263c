"""Fits a curve with an activation of one's own. Needs a running actserved."""

import numpy as np

import actserve


@actserve.activation
def notch(x, width=1.0):
    """A line with a dent at 0 whose width is learned."""
    d = x / width
    return x - 1 / (1 + d * d)


def main():
    """Learns scale, shift and width by gradient descent."""
    x = np.linspace(-3, 3, 256)
    target = 1.5 * x + 0.5 - 1 / (1 + ((1.5 * x + 0.5) / 0.7) ** 2)
    scale, shift, width = 1.0, 0.0, 1.0
    with actserve.connect() as client:
        for step in range(401):
            y, _, residual = client.forward_with(
                notch,
                scale * x + shift,
                parameters={"width": width},
                keep_residual=True,
            )
            dy = 2 * (y - target) / x.size
            grad = client.backward(
                notch, residual=residual, grad_output=dy, wrt=["x", "width"]
            )
            scale -= 0.05 * (grad["x"] @ x)
            shift -= 0.05 * grad["x"].sum()
            width -= 0.05 * grad["width"]
            if step % 100 == 0:
                print(f"step {step}: error {np.mean((y - target) ** 2):.2e}")


if __name__ == "__main__":
    main()
