"""PyTorch learns the shape of its activations: a tutorial as a script.

A classifier of handwritten digits (8 x 8 pixels, of scikit-learn) is trained
three times from the same weights: with spiky, a function that PyTorch has not;
with gelu; and with swish, whose sharpness is learned for each hidden unit. Each
training is repeated with PyTorch's own operations, and the losses are compared.

usage: torch_digits.py [--client ADDRESS] [--epochs N] [--picture FILE.png]

Without --client the functions are computed as actserve.connect() chooses: at a
server of this machine if there is one, else in this process. The picture shows
the loss of every step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
from loss_curves import draw, progress
from sklearn.datasets import load_digits
from torch import nn

import actserve
import actserve.torch

HIDDEN = 64
BATCH = 64
# Rate and momentum. The jumps of spiky punish long steps.
STEPS = {"spiky": (0.05, 0.0)}
OTHER_STEPS = (0.1, 0.9)
# Of a loss, against PyTorch's own operations: both round every step to float32,
# and training amplifies that.
ALLOWED_DIFFERENCE = 1e-3


# 1. A function is written in Python. Its source is what is computed, here or at
#    a server, forward and backward.
@actserve.activation
def spiky(x):
    """The lower half of a sawtooth."""
    r = x % 1
    return r if r <= 0.5 else 0


# 2. An argument with a default is a parameter, and can be learned.
@actserve.activation
def swish(x, beta=1.0):
    """Between x / 2 (beta 0) and relu (beta large)."""
    return x / (1 + exp(-beta * x))  # noqa: F821


# 3. What PyTorch would compute without actserve, to compare.
class NativeSpiky(nn.Module):
    """spiky of four functions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns spiky(x)."""
        r = x % 1
        return torch.where(r <= 0.5, r, torch.zeros_like(r))


class NativeSwish(nn.Module):
    """swish with a sharpness for each hidden unit."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns swish(x)."""
        return x * torch.sigmoid(self.beta * x)


def activations(client: str | None) -> dict[str, tuple[Any, Any]]:
    """Returns makers of our layer and of PyTorch's, by name."""
    layer = actserve.torch.Activation
    return {
        "spiky": (lambda: layer(spiky, client=client), NativeSpiky),
        "gelu": (lambda: layer("gelu", client=client), nn.GELU),
        "learned swish": (
            # 4. channels= gives each hidden unit a value of its own.
            lambda: layer(
                swish, learnable=["beta"], channels=HIDDEN, client=client
            ),
            NativeSwish,
        ),
    }


def train(
    name: str, make: Callable[[], nn.Module], epochs: int
) -> tuple[nn.Module, list[float], float]:
    """Returns the model, the loss of every step, and the final accuracy."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    order = torch.randperm(
        len(labels), generator=torch.Generator().manual_seed(1)
    )
    test, rest = order[:360], order[360:]

    torch.manual_seed(0)
    first, last = nn.Linear(64, HIDDEN), nn.Linear(HIDDEN, 10)
    # 5. The layer stands where any other would.
    model = nn.Sequential(first, make(), last)
    rate, momentum = STEPS.get(name, OTHER_STEPS)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=momentum)
    per_epoch = len(rest) // BATCH
    losses = []
    for step in progress(range(epochs * per_epoch)):
        batch = rest[step % per_epoch * BATCH :][:BATCH]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        found = model(images[test]).argmax(1)
    return model, losses, (found == labels[test]).float().mean().item()


def main() -> int:
    """Trains, and returns 0 if the losses agree with PyTorch's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--client", help="an address, or 'local'")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--picture", default="torch_digits.png")
    args = parser.parse_args()

    curves = {}
    is_equal = True
    print(
        "| activation | accuracy | PyTorch's | largest difference of a loss |"
    )
    print("|---|---|---|---|")
    for name, (ours, theirs) in activations(args.client).items():
        model, losses, accuracy = train(name, ours, args.epochs)
        _, wanted, native = train(name, theirs, args.epochs)
        difference = max(
            abs(a - b) for a, b in zip(losses, wanted, strict=True)
        )
        is_equal &= difference <= ALLOWED_DIFFERENCE
        print(f"| {name} | {accuracy:.3f} | {native:.3f} | {difference:.1e} |")
        curves[name] = losses
    # 6. Parameters that were learned are attributes; a checkpoint holds them
    #    with the text of the function.
    betas = model[1].beta
    print(
        f"\nbeta was 1, and is now {betas.min():.2f} to {betas.max():.2f}; "
        f"checkpoint: {', '.join(model.state_dict())}"
    )
    draw(curves, args.picture)
    if not is_equal:
        print(f"a loss differs by more than {ALLOWED_DIFFERENCE}")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
