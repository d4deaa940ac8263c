"""actserve, at an address."""

from __future__ import annotations

from typing import Any

import numpy as np

import actserve


def client(address: str, with_gradient: bool = True) -> Any:
    """By actserve.Client alone, on arrays of its empty()."""
    connection = actserve.connect(address)

    def step_of(values: Any, gradients: Any) -> Any:
        x, dy = (connection.empty(a.shape) for a in (values, gradients))
        x[:], dy[:] = values, gradients

        if not with_gradient:
            return lambda: [connection.forward("silu", x)]

        def call() -> Any:
            y, partials, _ = connection.forward_with("silu", x, partials=True)
            np.dot(y, dy)
            return y, np.multiply(partials["x"], dy)

        return call

    return step_of


def torch(address: str) -> Any:
    """By actserve.torch, on tensors of PyTorch."""
    import torch

    import actserve.torch

    def step_of(values: Any, gradients: Any) -> Any:
        x = torch.from_numpy(values).requires_grad_()
        dy = torch.from_numpy(gradients)

        def call() -> Any:
            y = actserve.torch.apply("silu", x, client=address)
            (dx,) = torch.autograd.grad(torch.dot(y, dy), x)
            return y.detach().numpy(), dx.numpy()

        return call

    return step_of
