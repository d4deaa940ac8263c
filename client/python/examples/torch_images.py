"""Trains a convolutional network with an activation of its own; times it.

Images of 32x32 pixels show one of four shapes in noise. After each convolution
stands a swish whose slope is learned for each channel. The training runs with
that activation by PyTorch's own operations, in this process by actserve, and at
a server: over memory shared with it, and over TCP. The losses tell that they do
the same.

usage: torch_images.py [--steps N] [PATH_OF_ACTSERVED]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from typing import Any

import torch
from torch import nn

import actserve
import actserve.torch
from actserve.testing import ServerProcess

SIZE = 32
BATCH = 64
RATE = 0.05
CHANNELS = (16, 32)
# Turns of every way, so that all have their share of what else the machine
# does.
ROUNDS = 5


@actserve.activation
def swish(x, beta=1.0):
    """A sigmoid unit whose slope is learned."""
    return x / (1 + exp(-beta * x))  # noqa: F821


class NativeSwish(nn.Module):
    """The same by PyTorch's operations."""

    def __init__(self, channels: int):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the result."""
        return x * torch.sigmoid(self.beta[:, None, None] * x)


def images(random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns images [64, 1, 32, 32] and their classes [64]."""
    place = torch.arange(SIZE, dtype=torch.float32) - SIZE / 2
    down, right = torch.meshgrid(place, place, indexing="ij")
    shapes = torch.stack(
        [
            (down**2 + right**2 < 100).float(),  # a disk
            ((down.abs() < 9) & (right.abs() < 9)).float(),  # a square
            ((down.abs() < 3) | (right.abs() < 3)).float(),  # a cross
            ((down - right).abs() < 4).float(),  # a diagonal
        ]
    )
    classes = torch.randint(4, (BATCH,), generator=random)
    noise = torch.randn(BATCH, 1, SIZE, SIZE, generator=random)
    return shapes[classes][:, None] + noise, classes


def network(client: Any) -> nn.Module:
    """Returns the network; always with the same weights.

    Args:
      client: What computes the activation; None: PyTorch.
    """
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 1
    for channels in CHANNELS:
        layers.append(nn.Conv2d(before, channels, 3, padding=1))
        if client is None:
            layers.append(NativeSwish(channels))
        else:
            layers.append(
                actserve.torch.Activation(
                    swish,
                    learnable=["beta"],
                    channels=channels,
                    client=client,
                )
            )
        layers.append(nn.MaxPool2d(2))
        before = channels
    side = SIZE // 2 ** len(CHANNELS)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, 4))


class Training:
    """A training that goes on step by step.

    Attributes:
      losses: Before each step so far.
      rates: Steps a second of each turn.
    """

    def __init__(self, client: Any):
        self._network = network(client)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=RATE, momentum=0.9
        )
        self._random = torch.Generator().manual_seed(1)
        self.losses: list[float] = []
        self.rates: list[float] = []

    def run(self, num_steps: int) -> None:
        """Goes on for so many steps."""
        start = time.perf_counter()
        for _ in range(num_steps):
            x, classes = images(self._random)
            self._optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self._network(x), classes)
            loss.backward()
            self._optimizer.step()
            self.losses.append(loss.item())
        self.rates.append(num_steps / (time.perf_counter() - start))


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", nargs="?", help="path of actserved")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        clients = {"PyTorch's own operations": None, "in the process": "local"}
        if options.binary:
            server = stack.enter_context(ServerProcess(options.binary))
            clients["shared memory"] = server.unix_address
            clients["TCP"] = server.address
        trainings = {way: Training(client) for way, client in clients.items()}
        for training in trainings.values():
            training.run(1)  # compiles
            training.rates.clear()
        for _ in range(ROUNDS):
            for training in trainings.values():
                training.run(max(1, options.steps // ROUNDS))

    native, *others = trainings.values()
    print("| activation | steps a second | of native | last loss |")
    print("|---|---|---|---|")
    for way, training in trainings.items():
        ratio = statistics.median(
            a / b for a, b in zip(training.rates, native.rates, strict=True)
        )
        print(
            f"| {way} | {statistics.median(training.rates):.1f} | "
            f"{ratio:.2f} | {training.losses[-1]:.6f} |"
        )
    difference = max(
        abs(a - b) for a, b in zip(native.losses, others[0].losses, strict=True)
    )
    same = all(other.losses == others[0].losses for other in others)
    print(
        f"\nactserve's losses are {'equal' if same else 'NOT EQUAL'} bit for "
        f"bit, and differ from PyTorch's own by {difference:.1e} at most."
    )


if __name__ == "__main__":
    main()
