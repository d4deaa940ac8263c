"""What the tests of actserve.torch share."""

import pytest

torch = pytest.importorskip("torch")

from bridge_cases import (
    GATED,
    SOFTMAX,
    SPIKY,
    STEP,
    SWISH,
)

import actserve.torch

SQUARE = "def square(x): return x * x"
DROP = """
def drop(x, keep=0.5, seed=0):
    return x / keep if uniform(seed) < keep else 0
"""


def apply(activation, *inputs, **options):
    """actserve.torch.apply() in this process."""
    return actserve.torch.apply(
        activation, *inputs, **{"client": "local"} | options
    )


def layer(activation, **options):
    """actserve.torch.Activation() in this process."""
    return actserve.torch.Activation(
        activation, **{"client": "local"} | options
    )


def swish(x, beta):
    """PyTorch's own x * sigmoid(beta * x); beta broadcasts."""
    return x * torch.sigmoid(beta * x)


def spiky(x):
    """PyTorch's own spiky."""
    r = x % 1
    return torch.where(r <= 0.5, r, torch.zeros_like(r))


def softmax(x, temperature=1.0, axis=-1):
    """PyTorch's own softmax."""
    return torch.softmax(x / temperature, axis)


def gradients(f, *inputs, order=1):
    """Returns y, and the gradients of sum(sin(y)), of the order."""
    inputs = [t.detach().clone().requires_grad_() for t in inputs]
    y = f(*inputs)
    found = torch.autograd.grad(y.sin().sum(), inputs, create_graph=order == 2)
    if order == 2:
        found = torch.autograd.grad(sum(g.cos().sum() for g in found), inputs)
    return [y.detach(), *found]


def assert_close(found, wanted, **tolerance):
    """Compares tensors, or sequences of them, strides and dtypes included."""
    torch.testing.assert_close(found, wanted, **tolerance)


__all__ = ["DROP", "GATED", "SOFTMAX", "SPIKY", "SQUARE", "STEP", "SWISH"]
