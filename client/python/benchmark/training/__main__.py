"""Trains by every framework over every distance, and compares.

usage: python client/python/benchmark/training [--steps N] [--picture FILE]
           [--frameworks NAME,...] PATH_OF_ACTSERVED

Prints the tables of docs/training.md. Each framework runs in a process of its
own. Its native run has the activation by the framework's own operations.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from task import ACTIVATIONS, BATCH, HIDDEN, RATE, Task

import actserve
from actserve.testing import ServerProcess

FRAMEWORKS = {
    "torch": "PyTorch",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "jax": "JAX",
}
NATIVE = "native"
DISTANCES = ("process", "shared memory", "unix socket", "TCP")

# Losses by activation and by what computed it, and accuracies likewise.
Results = dict[str, dict[str, dict[str, Any]]]


def places(server: ServerProcess) -> dict[str, Any]:
    """Returns what a bridge takes as its client, by distance."""
    return {
        "process": "local",
        "shared memory": server.unix_address,
        # grpcio knows nothing of shared memory.
        "unix socket": actserve.connect(server.unix_address, pure=True),
        "TCP": server.address,
    }


def run_framework(name: str, num_steps: int, binary: str) -> Results:
    """Trains everything in this process."""
    train = importlib.import_module(f"{name}_loop").train
    results: Results = {}
    with ServerProcess(binary) as server:
        clients = {NATIVE: NATIVE, **places(server)}
        for activation in ACTIVATIONS:
            results[activation] = {}
            for place, client in clients.items():
                found = train(Task(activation, client, num_steps))
                results[activation][place] = {
                    "losses": found.losses,
                    "accuracy": found.accuracy,
                }
    return results


def run_in_child(name: str, num_steps: int, binary: str) -> Results:
    """Returns run_framework() of a new process."""
    command = [sys.executable, str(Path(__file__).parent)]
    command += [f"--steps={num_steps}", f"--child={name}", binary]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    results: Results = json.loads(run.stdout.splitlines()[-1])
    return results


def largest_difference(one: list[float], other: list[float]) -> float:
    """Returns the largest difference of two losses of one step."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def rows(results: Mapping[str, Results]) -> Iterator[str]:
    """Yields the lines of the table."""
    yield (
        "| | | accuracy, native | accuracy, actserve | largest difference of "
        "a loss: from native | after 20 steps | four distances |"
    )
    yield "|---|---|---|---|---|---|---|"
    for activation in ACTIVATIONS:
        for framework, found in results.items():
            of = found[activation]
            native, here = of[NATIVE], of[DISTANCES[0]]
            equal = all(
                of[place]["losses"] == here["losses"] for place in DISTANCES
            )
            early = largest_difference(
                native["losses"][:20], here["losses"][:20]
            )
            every = largest_difference(native["losses"], here["losses"])
            yield (
                f"| {activation} | {FRAMEWORKS[framework]} | "
                f"{native['accuracy']:.3f} | {here['accuracy']:.3f} | "
                f"{every:.1e} | {early:.1e} | "
                f"{'equal bits' if equal else 'DIFFERENT'} |"
            )


def agreement(results: Mapping[str, Results]) -> Iterator[str]:
    """Yields how far the frameworks are from the first of them."""
    first, *others = results
    for name in others:
        worst = {
            activation: largest_difference(
                results[first][activation][DISTANCES[0]]["losses"],
                results[name][activation][DISTANCES[0]]["losses"],
            )
            for activation in ACTIVATIONS
        }
        shown = ", ".join(f"{a} {value:.1e}" for a, value in worst.items())
        yield f"* {FRAMEWORKS[name]} from {FRAMEWORKS[first]}: {shown}"


def draw(results: Mapping[str, Results], file: str) -> None:
    """Writes the loss curves as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(ACTIVATIONS), figsize=(12, 3.6), sharey=True
    )
    styles = ("-", "--", ":", "-.")
    for axis, activation in zip(axes, ACTIVATIONS, strict=True):
        for style, (framework, found) in zip(
            styles, results.items(), strict=False
        ):
            axis.plot(
                found[activation][DISTANCES[0]]["losses"],
                style,
                linewidth=1.2,
                label=FRAMEWORKS[framework],
            )
        axis.set_title(activation)
        axis.set_xlabel("step")
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("loss of the batch")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="path of actserved")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS))
    parser.add_argument("--picture")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        found = run_framework(options.child, options.steps, options.binary)
        print(json.dumps(found))
        return
    results = {
        name: run_in_child(name, options.steps, options.binary)
        for name in options.frameworks.split(",")
    }
    versions = ", ".join(
        f"{FRAMEWORKS[name]} {version_of(name)}" for name in results
    )
    print(
        f"{options.steps} steps with batches of {BATCH} images, {HIDDEN} "
        f"hidden units, gradient descent with the rate {RATE}; {versions}.\n"
    )
    print("\n".join(rows(results)))
    print(
        "\nThe largest difference of a loss between frameworks, each with the "
        "activation in its process:\n"
    )
    print("\n".join(agreement(results)))
    if options.picture:
        draw(results, options.picture)


def version_of(name: str) -> str:
    """Returns the version of a framework."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return metadata.version(f"{name}-cpu")


if __name__ == "__main__":
    main()
