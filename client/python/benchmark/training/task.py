"""One small training, the same for every framework.

Digits of scikit-learn, 64 pixels; a hidden layer of 128; ten classes; plain
gradient descent. Weights and batches come from seeds, so that every framework
starts from the same and sees the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import actserve

HIDDEN = 128
BATCH = 64
RATE = 0.02
NUM_TRAINED = 1437  # of 1,797; the others are the test

Array = NDArray[Any]


@actserve.activation
def spiky(x):
    """The lower half of a sawtooth."""
    r = x % 1
    return r if r <= 0.5 else 0


@actserve.activation
def swish(x, beta=1.0):
    """A sigmoid unit with a slope to learn."""
    return x / (1 + exp(-beta * x))  # noqa: F821


# By name; and whether `beta` is learned, one value for each hidden unit.
ACTIVATIONS: dict[str, Any] = {"spiky": spiky, "gelu": "gelu", "swish": swish}
HAS_BETA = {"spiky": False, "gelu": False, "swish": True}


@dataclasses.dataclass
class Task:
    """A training.

    Attributes:
      name: That of the activation.
      client: What computes it: as of the bridges; "native" is the framework
        itself, by the formula.
      num_steps: How many batches are trained.
      options: More arguments of the bridge.
      on_step: Called with the number of each step before it begins.
    """

    name: str
    client: Any
    num_steps: int
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    on_step: Callable[[int], None] = lambda step: None

    @property
    def activation(self) -> Any:
        """The activation for a bridge."""
        return ACTIVATIONS[self.name]

    @property
    def has_beta(self) -> bool:
        """Whether there is a parameter to learn."""
        return HAS_BETA[self.name]

    def batches(self) -> Iterator[tuple[Array, Array]]:
        """Yields images [64, 64] float32 and labels [64] int64."""
        x, y = digits()[:2]
        random = np.random.default_rng(1)
        for step in range(self.num_steps):
            rows = random.integers(0, len(x), BATCH)
            self.on_step(step)
            yield x[rows], y[rows]


@dataclasses.dataclass
class Result:
    """What a training gave.

    Attributes:
      losses: Before each step.
      accuracy: On the test, in [0, 1].
    """

    losses: list[float]
    accuracy: float


def digits() -> tuple[Array, Array, Array, Array]:
    """Returns images and labels to train with, and those of the test."""
    data = load_digits()
    x = (data.data / 16).astype(np.float32)
    y = data.target.astype(np.int64)
    return x[:NUM_TRAINED], y[:NUM_TRAINED], x[NUM_TRAINED:], y[NUM_TRAINED:]


def weights(has_beta: bool) -> dict[str, Array]:
    """Returns the first weights, in the order in which they are used."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        scale = np.sqrt(2 / shape[0])
        return (random.normal(size=shape) * scale).astype(np.float32)

    result = {
        # The hidden layer begins within one tooth of spiky.
        "w1": normal(64, HIDDEN) * np.float32(0.1),
        "b1": np.full(HIDDEN, 0.25, np.float32),
        "w2": normal(HIDDEN, 10),
        "b2": np.zeros(10, np.float32),
    }
    if has_beta:
        result["beta"] = np.linspace(0.5, 1.5, HIDDEN, dtype=np.float32)
    return result


def accuracy(logits: Array) -> float:
    """Returns the share of the test that `logits` [360, 10] get right."""
    return float((logits.argmax(1) == digits()[3]).mean())
