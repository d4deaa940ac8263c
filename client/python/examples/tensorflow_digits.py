"""Trains handwritten digits in TensorFlow with activations that it lacks.

usage: python tensorflow_digits.py [--client ADDRESS] [--epochs N]
                                   [--plot FILE.png]

Needs tensorflow and scikit-learn; draws the losses if matplotlib is there, and
shows its progress if tqdm is.
"""

# %% The functions. Plain Python: `actserve` reads their source.

import argparse

import numpy as np
import tensorflow as tf
from loss_curves import draw, progress
from sklearn.datasets import load_digits

import actserve
import actserve.tensorflow


@actserve.activation
def spiky(x):
    """A sawtooth with every second tooth missing."""
    r = x % 1
    return r if r <= 0.5 else 0


@actserve.activation
def swish(x, beta=1.0):
    """SiLU with a steepness, which is learned for each channel."""
    return x / (1 + exp(-beta * x))  # noqa: F821


# %% The model: 64 -> 128 -> 10. An activation is a tf.Module, so that its
# variables are among those of the model.


class Model(tf.Module):
    """Two dense layers around an activation."""

    def __init__(self, act):
        super().__init__()
        random = np.random.default_rng(0)
        self.act = act
        self.w1 = tf.Variable(
            random.normal(size=(64, 128)) / 16, dtype="float32"
        )
        self.b1 = tf.Variable(tf.zeros(128))
        self.w2 = tf.Variable(
            random.normal(size=(128, 10)) / 11, dtype="float32"
        )
        self.b2 = tf.Variable(tf.zeros(10))

    def __call__(self, x):
        """Returns logits."""
        return self.act(x @ self.w1 + self.b1) @ self.w2 + self.b2


# %% Training: a tape and a tf.function, and nothing of ours.


def train(act, data, rate, epochs):
    """Returns the loss of every step, and the accuracy on the test set."""
    x, y, x_test, y_test = data
    model = Model(act)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x))
            )
        variables = model.trainable_variables
        slopes = tape.gradient(loss, variables)
        for variable, slope in zip(variables, slopes, strict=True):
            variable.assign_sub(rate * slope)
        return loss

    losses = []
    for i in progress(range(epochs)):
        order = np.random.default_rng(i).permutation(len(x) // 32 * 32)
        for batch in order.reshape(-1, 32):
            losses.append(float(step(x[batch], y[batch])))
    right = model(x_test).numpy().argmax(1) == y_test
    return losses, right.mean()


def digits():
    """Returns images and labels to train with, and others to test with."""
    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32)
    return x[:1437], labels[:1437], x[1437:], labels[1437:]


# %% One run for each activation, and the same formula of tf.nn beside ours.


def main():
    """Trains and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", default=None, help='"local", "host:port"')
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plot", default=None, metavar="FILE.png")
    given = parser.parse_args()

    def ours(activation, **options):
        return actserve.tensorflow.Activation(
            activation, client=given.client, **options
        )

    activations = {
        "spiky": ours(spiky),
        "swish per channel": ours(swish, learnable=["beta"], channels=128),
        "silu": ours("silu"),
        "tf.nn.silu": tf.nn.silu,
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
        np.abs(np.subtract(curves["silu"], curves["tf.nn.silu"]))
    )
    print(f"silu, ours and that of tf.nn: losses differ by {difference:.1e}")
    if given.plot:
        draw(curves, given.plot)


if __name__ == "__main__":
    main()
