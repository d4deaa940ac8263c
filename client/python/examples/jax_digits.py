"""Trains handwritten digits in JAX with activations that JAX does not have.

usage: python jax_digits.py [--client ADDRESS] [--epochs N] [--plot FILE.png]

Needs jax and scikit-learn; draws the losses if matplotlib is there, and shows
its progress if tqdm is.
"""

# %% The functions. Plain Python: `actserve` reads their source.

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from loss_curves import draw, progress
from sklearn.datasets import load_digits

import actserve
import actserve.jax


@actserve.activation
def spiky(x):
    """A sawtooth with every second tooth missing."""
    r = x % 1
    return r if r <= 0.5 else 0


@actserve.activation
def swish(x, beta=1.0):
    """SiLU with a steepness, which is learned for each channel."""
    return x / (1 + exp(-beta * x))  # noqa: F821


# %% The model: 64 -> 128 -> 10. Weights are a tree of arrays, as ever in JAX.


def layers(key):
    """Returns the weights of two dense layers."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (64, 128)) / 16,
        "b1": jnp.zeros(128),
        "w2": jax.random.normal(second, (128, 10)) / 11,
        "b2": jnp.zeros(10),
    }


def model(act):
    """Returns logits(weights, x); `act` is a function like any of jax.nn."""

    def logits(weights, x):
        hidden = act(x @ weights["w1"] + weights["b1"], **weights["act"])
        return hidden @ weights["w2"] + weights["b2"]

    return logits


# %% Training: jit, value_and_grad and scan, and nothing of ours.


def train(act, data, rate, epochs):
    """Returns the loss of every step, and the accuracy on the test set."""
    x, y, x_test, y_test = data
    logits = model(act)
    weights = layers(jax.random.key(0)) | {"act": act.init()}

    def loss(weights, x, y):
        scores = jax.nn.log_softmax(logits(weights, x))
        return -jnp.take_along_axis(scores, y[:, None], 1).mean()

    def step(weights, batch):
        value, slopes = jax.value_and_grad(loss)(weights, *batch)
        return jax.tree.map(lambda w, g: w - rate * g, weights, slopes), value

    @jax.jit
    def epoch(weights, order):
        batches = x[order].reshape(-1, 32, 64), y[order].reshape(-1, 32)
        return jax.lax.scan(step, weights, batches)

    losses = []
    for i in progress(range(epochs)):
        order = np.random.default_rng(i).permutation(len(x) // 32 * 32)
        weights, values = epoch(weights, order)
        losses.extend(map(float, values))
    right = logits(weights, x_test).argmax(1) == y_test
    return losses, float(right.mean())


def digits():
    """Returns images and labels to train with, and others to test with."""
    images, labels = load_digits(return_X_y=True)
    x = jnp.asarray(images / 16, jnp.float32)
    y = jnp.asarray(labels)
    return x[:1437], y[:1437], x[1437:], y[1437:]


# %% One run for each activation, and the same formula in jax.nn beside ours.


class Silu:
    """jax.nn.silu in the form of an Activation."""

    def init(self):
        """Returns no weights."""
        return {}

    def __call__(self, x):
        """Returns silu(x)."""
        return jax.nn.silu(x)


def main():
    """Trains and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", default=None, help='"local", "host:port"')
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plot", default=None, metavar="FILE.png")
    given = parser.parse_args()

    ours = {"client": given.client}
    activations = {
        "spiky": actserve.jax.Activation(spiky, **ours),
        "swish per channel": actserve.jax.Activation(
            swish, learnable=["beta"], channels=128, **ours
        ),
        "silu": actserve.jax.Activation("silu", **ours),
        "jax.nn.silu": Silu(),
    }
    data = digits()
    curves = {}
    for name, act in activations.items():
        # So many kinks want small steps.
        rate = 0.03 if name == "spiky" else 0.3
        curves[name], accuracy = train(act, data, rate, given.epochs)
        print(
            f"{name:17}  loss {curves[name][0]:.4f} -> {curves[name][-1]:.4f}  "
            f"test accuracy {accuracy:.4f}"
        )
    difference = np.max(
        np.abs(np.subtract(curves["silu"], curves["jax.nn.silu"]))
    )
    print(f"silu, ours and that of jax.nn: losses differ by {difference:.1e}")
    if given.plot:
        draw(curves, given.plot)


if __name__ == "__main__":
    main()
