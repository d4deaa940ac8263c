"""Compares actserve.torch in this process with PyTorch's own functions.

usage: python client/python/benchmark/torch_native.py [--compile] [NAME...]

Forward and backward of the built-ins that PyTorch has, and of spiky, which it
composes of four functions, in float32 and bfloat16, with the same number of
threads. Prints Markdown tables. Blocks of all ways alternate; a ratio is that
of PyTorch's time to ours in the same round: the median over the rounds, and the
range of the middle half. --compile adds torch.compile, whose first compile
takes a minute. The library is that of the wheel, or $ACTSERVE_LIBRARY.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch

import actserve
import actserve.torch

SIZES = (1 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 64 << 20)
ROUNDS = 21
BLOCK_SECONDS = 0.01

SPIKY = """
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0
"""


def spiky(x: torch.Tensor) -> torch.Tensor:
    """What a user of PyTorch would write."""
    r = x % 1
    return torch.where(r <= 0.5, r, torch.zeros_like(r))


NATIVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "mish": torch.nn.functional.mish,
    "softplus": torch.nn.functional.softplus,
    "spiky": spiky,
}


def step(
    f: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    dy: torch.Tensor,
) -> Callable[[], None]:
    """Returns a call that computes f(x) and its gradient."""

    def call() -> None:
        torch.autograd.grad(f(x), x, dy)

    return call


def times(calls: Sequence[Callable[[], None]]) -> list[list[float]]:
    """Returns the seconds of each call, by round."""
    counts = []
    for call in calls:
        call()
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
        counts.append(max(1, round(BLOCK_SECONDS / seconds)))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, count, seconds_of in zip(calls, counts, found, strict=True):
            begin = time.perf_counter()
            for _ in range(count):
                call()
            seconds_of.append((time.perf_counter() - begin) / count)
    return found


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """Returns the median of theirs / ours, and its middle half."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def measure(name: str, dtype: torch.dtype, compiles: bool) -> None:
    """Prints a row for each size."""
    text = SPIKY if name == "spiky" else name
    ours = actserve.torch.Activation(text, client="local")
    ways = [NATIVE[name]]
    if compiles:
        ways.append(torch.compile(NATIVE[name], dynamic=True))
    for size in SIZES:
        shape = (size // dtype.itemsize,)
        x = torch.randn(shape).to(dtype).requires_grad_()
        dy = torch.randn(shape).to(dtype)
        mine, *others = times([step(f, x, dy) for f in (ours, *ways)])
        cells = " | ".join(ratio(theirs, mine) for theirs in others)
        kind = str(dtype).removeprefix("torch.")
        microseconds = statistics.median(mine) * 1e6
        print(
            f"| {name} | {kind} | {size >> 10} KiB | {microseconds:.0f} us "
            f"| {cells} |",
            flush=True,
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(NATIVE))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    more = " | torch.compile / ours" if args.compile else ""
    print(
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"forward and backward\n"
    )
    print(f"| function | dtype | bytes | ours | eager / ours{more} |")
    print("|---|---|---|---|---|" + "---|" * args.compile)
    for name in args.names:
        for dtype in (torch.float32, torch.bfloat16):
            measure(name, dtype, args.compile)


if __name__ == "__main__":
    main()
