"""Times PyTorch for scripts/measure/rows; needs nothing but PyTorch.

usage: rows_torch.py JSON, of the names, the rows and the sizes; prints seconds.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ITERATIONS = 7
BLOCK_BYTES = 16 << 20


def seconds(call: Callable[[], object], calls: int) -> float:
    """The median time of a call in blocks, of this thread's processor."""
    call()
    times = []
    for _ in range(ITERATIONS):
        start = time.thread_time()
        for _ in range(calls):
            call()
        times.append((time.thread_time() - start) / calls)
    return statistics.median(times)


def calls_of(
    name: str, x: torch.Tensor, g: torch.Tensor
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward of x, and its gradient with what forward left."""
    aten, row = torch.ops.aten, [x.shape[-1]]
    if name == "softmax":
        y = torch.softmax(x, -1)
        return (
            lambda: torch.softmax(x, -1),
            lambda: aten._softmax_backward_data(g, y, -1, x.dtype),
        )
    if name == "log_softmax":
        y = torch.log_softmax(x, -1)
        return (
            lambda: torch.log_softmax(x, -1),
            lambda: aten._log_softmax_backward_data(g, y, -1, x.dtype),
        )
    if name in ("standardize", "layer_norm"):
        with_weights = name == "layer_norm"
        weights = [None, None]
        if with_weights:
            weights = [torch.randn(row).to(x.dtype) for _ in weights]
        _, mean, rstd = torch.native_layer_norm(x, row, *weights, 1e-5)
        return (
            lambda: torch.layer_norm(x, row, *weights, 1e-5),
            lambda: aten.native_layer_norm_backward(
                g, x, row, mean, rstd, *weights, [True] + 2 * [with_weights]
            ),
        )
    leaf = x.clone().requires_grad_()
    y = torch.rms_norm(leaf, row, None, 1e-6)
    return (
        lambda: torch.rms_norm(x, row, None, 1e-6),
        lambda: torch.autograd.grad(y, leaf, g, retain_graph=True),
    )


def main() -> None:
    """Prints seconds by name/direction/dtype/row/size."""
    torch.set_num_threads(1)
    names, rows, sizes = json.loads(sys.argv[1])
    result: dict[str, float] = {}
    for size in sizes:
        calls = max(1, BLOCK_BYTES // size)
        for dtype, type_ in DTYPES.items():
            elements = size // type_.itemsize
            for row in rows:
                if row > elements:
                    continue
                x = torch.randn(elements // row, row).to(type_)
                g = torch.randn(elements // row, row).to(type_)
                for name in names:
                    forward, gradient = calls_of(name, x, g)
                    at = f"{dtype}/{row}/{size}"
                    result[f"{name}/forward/{at}"] = seconds(forward, calls)
                    result[f"{name}/gradient/{at}"] = seconds(gradient, calls)
    version = torch.__version__.split("+")[0]
    print(json.dumps({"version": version, "seconds": result}))


if __name__ == "__main__":
    main()
