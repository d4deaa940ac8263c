"""Computes in PyTorch for accuracy_beside; needs PyTorch and NumPy.

usage: accuracy_torch.py DTYPE IN.npz OUT.npz; prints PyTorch's version. The
arrays are float32, whatever DTYPE it computes in; names as in row_oracle.py.
"""

import sys
from collections.abc import Callable

import numpy
import torch
from row_oracle import LAYER_NORM_EPS, RMS_NORM_EPS
from torch.nn import functional


def main() -> None:
    """Computes every function and its gradients."""
    dtype = getattr(torch, sys.argv[1])
    a = {
        name: torch.from_numpy(array).to(dtype).requires_grad_()
        for name, array in numpy.load(sys.argv[2]).items()
    }
    x, gate, weight, bias = a["x"], a["gate"], a["weight"], a["bias"]
    row = [x.shape[-1]]
    functions: dict[str, tuple[Callable[[], torch.Tensor], list[str]]] = {
        "softmax": (lambda: torch.softmax(x, -1), ["x"]),
        "log_softmax": (lambda: torch.log_softmax(x, -1), ["x"]),
        "layer_norm": (
            lambda: functional.layer_norm(x, row, weight, bias, LAYER_NORM_EPS),
            ["x", "weight", "bias"],
        ),
        "rms_norm": (
            lambda: functional.rms_norm(x, row, weight, RMS_NORM_EPS),
            ["x", "weight"],
        ),
        "glu": (
            lambda: functional.glu(torch.cat([x, gate], -1)),
            ["x", "gate"],
        ),
    }
    results = {}
    for name, (function, inputs) in functions.items():
        y = function()
        gradients = torch.autograd.grad(y, [a[i] for i in inputs], a["g"])
        results[f"{name} f"] = y.detach()
        for of, gradient in zip(inputs, gradients, strict=True):
            results[f"{name} d{of}"] = gradient
    numpy.savez(
        sys.argv[3], **{n: r.float().numpy() for n, r in results.items()}
    )
    print(torch.__version__.split("+")[0])


if __name__ == "__main__":
    main()
