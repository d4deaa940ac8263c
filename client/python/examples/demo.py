"""The whole of actserve in a minute: a question answered, then a training.

Starts a server, evaluates and differentiates the function this project began
with, and trains a digit classifier whose hidden activation, and its gradient,
are computed by that server; the same training with the activation computed
here, by another formula, tells how far the two drift apart.

usage: demo.py PATH_OF_ACTSERVED
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import actserve
from actserve.testing import ServerProcess

Array = NDArray[np.float32]

HIDDEN = 64
EPOCHS = 12
BATCH = 64
RATE = 0.1
MOMENTUM = 0.9
WANTED_ACCURACY = 0.95
# Largest difference of a weight. Both sides round to float32 once; training
# amplifies that.
ALLOWED_DIFFERENCE = 1e-3


@actserve.activation
def spiky(x):
    """The lower half of a sawtooth."""
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0


SPIKY_AS_ASKED = """
def spiky_as_asked(x):
    return tf.where(tf.less_equal(tf.floormod(x, tf.constant(1)), tf.constant(0.5)), tf.floormod(x, tf.constant(1)), tf.constant(0))
"""  # noqa: E501

WAVES = 3.0


@actserve.activation
def ripple(x, depth=0.5):
    """The identity; below 0 a wave that dies out, with a depth to learn."""
    if x > 0:
        return x
    return depth * math.sin(WAVES * x) * math.exp(x)


@dataclass
class Hidden:
    """A hidden activation, computed remotely or here.

    Attributes:
      params: Its parameters, which the training changes.
      forward: (x, params) -> (y, what backward needs).
      backward: (what forward kept, params, dy) -> gradients by name.
    """

    params: dict[str, float]
    forward: Callable
    backward: Callable


def remote(client, activation, **params) -> Hidden:
    """Returns `activation` computed by the server, inputs kept there."""

    def forward(x, params):
        y, _, residual = client.forward_with(
            activation, x, parameters=params, keep_residual=True
        )
        return y, residual

    def backward(residual, params, dy):
        return client.backward(
            activation,
            residual=residual,
            grad_output=dy,
            wrt=["x", *params],
        )

    return Hidden(params, forward, backward)


def local_gelu() -> Hidden:
    """Returns gelu in float64 by its textbook formula, rounded to float32."""
    erf = np.vectorize(math.erf, otypes=[np.float64])

    def cdf(x):
        return 0.5 * (1 + erf(x / math.sqrt(2)))

    def forward(x, params):
        x = x.astype(np.float64)
        return (x * cdf(x)).astype(np.float32), x

    def backward(x, params, dy):
        pdf = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return {"x": dy * (cdf(x) + x * pdf).astype(np.float32)}

    return Hidden({}, forward, backward)


def local_ripple(depth: float) -> Hidden:
    """Returns ripple and its gradient, derived by hand, as local_gelu."""

    def forward(x, params):
        x = x.astype(np.float64)
        wave = np.sin(WAVES * x) * np.exp(np.minimum(x, 0))
        y = np.where(x > 0, x, params["depth"] * wave)
        return y.astype(np.float32), x

    def backward(x, params, dy):
        decay = np.exp(np.minimum(x, 0))
        sine, cosine = np.sin(WAVES * x), np.cos(WAVES * x)
        slope = params["depth"] * decay * (WAVES * cosine + sine)
        return {
            "x": dy * np.where(x > 0, 1, slope).astype(np.float32),
            "depth": float(np.sum(dy * np.where(x > 0, 0, sine * decay))),
        }

    return Hidden({"depth": depth}, forward, backward)


def load_data() -> tuple[Array, NDArray, Array, NDArray]:
    """Returns the 1,797 digits as (train x, labels, test x, labels)."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x = (digits.data[order] / 16).astype(np.float32)
    labels = digits.target[order]
    split = len(x) * 4 // 5
    return x[:split], labels[:split], x[split:], labels[split:]


def train(
    hidden: Hidden,
    name: str = "",
    report: Callable[[float, float], None] = lambda loss, accuracy: None,
) -> tuple[list[Array], float]:
    """Trains 64 -> HIDDEN -> 10. Returns the weights and the test accuracy.

    Prints a line per epoch if it has a name, and calls `report` after each.
    """
    x, labels, test_x, test_labels = load_data()
    generator = np.random.default_rng(1)

    def layer(inputs, outputs):
        scale = math.sqrt(2 / inputs)
        weights = generator.normal(size=(inputs, outputs)) * scale
        return weights.astype(np.float32)

    weights = [
        layer(64, HIDDEN),
        np.zeros(HIDDEN, np.float32),
        layer(HIDDEN, 10),
        np.zeros(10, np.float32),
    ]
    speeds = [np.zeros_like(w) for w in weights]
    for epoch in range(1, EPOCHS + 1):
        loss = 0.0
        order = generator.permutation(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            w1, b1, w2, b2 = weights
            h, kept = hidden.forward(x[batch] @ w1 + b1, hidden.params)
            logits = h @ w2 + b2
            logits -= logits.max(axis=1, keepdims=True)
            p = np.exp(logits)
            p /= p.sum(axis=1, keepdims=True)
            rows = np.arange(len(batch))
            loss -= float(np.log(p[rows, labels[batch]]).sum())

            p[rows, labels[batch]] -= 1
            dlogits = p / np.float32(len(batch))
            grads = hidden.backward(kept, hidden.params, dlogits @ w2.T)
            dh = grads.pop("x")
            for w, speed, grad in zip(
                weights,
                speeds,
                [x[batch].T @ dh, dh.sum(0), h.T @ dlogits, dlogits.sum(0)],
                strict=True,
            ):
                speed *= np.float32(MOMENTUM)
                speed -= np.float32(RATE) * grad
                w += speed
            for parameter, grad in grads.items():
                hidden.params[parameter] -= RATE * grad
        w1, b1, w2, b2 = weights
        h, _ = hidden.forward(test_x @ w1 + b1, hidden.params)
        guesses = (h @ w2 + b2).argmax(axis=1)
        accuracy = float((guesses == test_labels).mean())
        if name:
            learned = "".join(
                f"  {key} {value:.4f}" for key, value in hidden.params.items()
            )
            print(
                f"{name}  epoch {epoch:2}  loss {loss / len(x):.4f}  "
                f"test accuracy {accuracy:.4f}{learned}"
            )
        report(loss / len(x), accuracy)
    return weights, accuracy


def show_spiky(client: actserve.Client) -> bool:
    """Prints the answer to the original question. Returns if it is right."""
    x = np.array([0.2, 0.7, 1.2, 1.7], np.float32)
    y = client.forward(spiky, x)
    dx = client.backward(spiky, x, grad_output=np.ones_like(x))["x"]
    print(f"spiky({x}) = {y}")
    print(f"   its gradient: {dx}")

    asked = actserve.activation(SPIKY_AS_ASKED)
    many = np.random.default_rng(2).normal(size=100_000).astype(np.float32) * 9
    agree = (
        client.forward(asked, many).tobytes()
        == client.forward(spiky, many).tobytes()
        and client.backward(asked, many)["x"].tobytes()
        == client.backward(spiky, many)["x"].tobytes()
    )
    print(
        f"the original TensorFlow text gives "
        f"{'equal' if agree else 'DIFFERENT'} bits on "
        f"{many.size} values: forward and gradient"
    )
    return agree and f"{y} {dx}" == "[0.2 0. 0.20000005 0.] [1. 0. 1. 0.]"


def compare(name: str, ours: Hidden, theirs: Hidden) -> tuple[float, float]:
    """Trains both. Returns our accuracy and how far apart the weights end."""
    start = time.monotonic()
    weights, accuracy = train(ours, name)
    seconds = time.monotonic() - start
    expected, _ = train(theirs)
    difference = max(
        float(np.abs(w - e).max())
        for w, e in zip(weights, expected, strict=True)
    )
    print(
        f"{name}: test accuracy {accuracy:.4f} after {seconds:.1f} s; weights "
        f"differ from NumPy's training by at most {difference:.1e}\n"
    )
    return accuracy, difference


def main() -> int:
    """Runs all; returns 1 if an answer is wrong or a network learns badly."""
    # Shortest digits that are the number, without padding.
    np.set_printoptions(formatter={"float": np.format_float_positional})
    with (
        ServerProcess(sys.argv[1]) as server,
        actserve.connect(server.unix_address) as client,
    ):
        info = client.get_server_info()
        devices = ", ".join(device.name for device in info.devices)
        print(f"actserved {info.version} on {devices}\n")
        right = show_spiky(client)
        print(
            f"\ntraining 64 -> {HIDDEN} -> 10 on 1,797 handwritten digits; "
            f"the server computes the hidden activation and its gradient"
        )
        accuracy, difference = compare(
            "gelu", remote(client, "gelu"), local_gelu()
        )
        _, difference_of_ours = compare(
            "ripple", remote(client, ripple, depth=0.5), local_ripple(0.5)
        )
    if (
        not right
        or accuracy < WANTED_ACCURACY
        or max(difference, difference_of_ours) > ALLOWED_DIFFERENCE
    ):
        print("demo: FAILED", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main())
