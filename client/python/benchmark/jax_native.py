"""Compares an activation in JAX, computed in this process, with jax.nn's.

usage: python client/python/benchmark/jax_native.py [--quick]

Forward, and value with gradient, each as one program under jit, float32: by the
handler of XLA, by a callback into Python, and by jax.nn (spiky: composed of
jax.numpy). Runs of all of them alternate; prints Markdown tables of the median
time by the handler, and of how many times as long the others take, with the
quartiles of that ratio. Above 1 the handler is faster.
"""

import statistics
import sys
import time

import jax
import jax.numpy as jnp

import actserve.jax
from actserve.jax import _native

SPIKY = """
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0
"""


def spiky(x):
    """That of SPIKY, with the gradient that JAX derives."""
    r = x % 1
    return jnp.where(r <= 0.5, r, 0)


FUNCTIONS = {
    "silu": ("silu", jax.nn.silu),
    "gelu": ("gelu", lambda x: jax.nn.gelu(x, approximate=False)),
    "mish": ("mish", jax.nn.mish),
    "softplus": ("softplus", jax.nn.softplus),
    "spiky": (SPIKY, spiky),
}
SIZES = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]
WAYS = ("handler", "callback", "jax")


def with_gradient(f):
    """Returns value and vector-Jacobian product of f as one function."""

    def both(x, g):
        y, pull = jax.vjp(f, x)
        return y, pull(g)[0]

    return both


def programs(activation, theirs, arguments):
    """Returns compiled (forward, with gradient) by way."""
    result = {}
    for way in WAYS:
        _native.enabled = way == "handler"
        ours = actserve.jax.Activation(activation, client="local")
        f = theirs if way == "jax" else ours
        result[way] = (
            jax.jit(lambda x, g, f=f: f(x)).lower(*arguments).compile(),
            jax.jit(with_gradient(f)).lower(*arguments).compile(),
        )
    _native.enabled = True
    return result


def times(runs, arguments, repeats):
    """Returns seconds by way of alternating runs."""
    result = {way: [] for way in runs}
    for i in range(repeats + 3):
        for way, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            if i >= 3:
                result[way].append(time.perf_counter() - start)
    return result


def ratio(theirs, ours):
    """Returns median and quartiles of the ratio of neighbouring runs."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main():
    """Prints the tables."""
    if not _native.is_here():
        sys.exit("the handler is missing: scripts/build release actserve_jax")
    quick = "--quick" in sys.argv
    for direction, title in enumerate(("Forward", "Value and gradient")):
        print(f"\n{title}, float32, jax {jax.__version__}\n")
        print("| function | KiB | handler, us | callback | jax |")
        print("|---|---|---|---|---|")
        for name, (activation, theirs) in FUNCTIONS.items():
            for size in SIZES[:1] if quick else SIZES:
                x = jnp.linspace(-4, 4, size // 4, dtype=jnp.float32)
                arguments = x, jnp.cos(x)
                runs = {
                    way: both[direction]
                    for way, both in programs(
                        activation, theirs, arguments
                    ).items()
                }
                repeats = 5 if quick else max(15, (32 << 20) // size)
                found = times(runs, arguments, min(repeats, 101))
                middle = statistics.median(found["handler"]) * 1e6
                others = " | ".join(
                    ratio(found[way], found["handler"]) for way in WAYS[1:]
                )
                print(f"| {name} | {size >> 10} | {middle:.0f} | {others} |")


if __name__ == "__main__":
    main()
