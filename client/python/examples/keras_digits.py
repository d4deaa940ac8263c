"""Trains handwritten digits in Keras with activations that Keras lacks.

usage: KERAS_BACKEND=tensorflow|torch|jax python keras_digits.py
           [--client ADDRESS] [--epochs N] [--plot FILE.png]

Needs keras with a backend, and scikit-learn; draws the losses if matplotlib is
there, and shows its progress if tqdm is.
"""

# %% The functions. Plain Python: `actserve` reads their source.

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from loss_curves import draw
from sklearn.datasets import load_digits

import actserve
import actserve.keras


@actserve.activation
def spiky(x):
    """A sawtooth with every second tooth missing."""
    r = x % 1
    return r if r <= 0.5 else 0


@actserve.activation
def swish(x, beta=1.0):
    """SiLU with a steepness, which is learned for each channel."""
    return x / (1 + exp(-beta * x))  # noqa: F821


# %% The model: 64 -> 128 -> 10. An activation is a layer like any other.


def model_with(act, rate):
    """Returns a compiled model; the first weights are always the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(128),
            act,
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


# %% Training: fit(), and nothing of ours.


class Losses(keras.callbacks.Callback):
    """Keeps the loss of every step, and moves a progress bar."""

    def __init__(self, bar):
        super().__init__()
        self.found = []
        self._bar = bar

    def on_epoch_begin(self, epoch, logs=None):
        """Begins the mean that Keras makes of an epoch."""
        self._sum = 0.0

    def on_train_batch_end(self, batch, logs=None):
        """Takes the loss of a step out of the mean of all so far."""
        total = logs["loss"] * (batch + 1)
        self.found.append(total - self._sum)
        self._sum = total
        if self._bar is not None:
            self._bar.update()


def train(act, data, rate, epochs):
    """Returns the loss of every step, the accuracy, and the model."""
    x, y, x_test, y_test = data
    model = model_with(act, rate)
    steps = epochs * len(x) // 32
    losses = Losses(bar(steps))
    model.fit(x, y, 32, epochs, verbose=0, callbacks=[losses], shuffle=False)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    return losses.found, accuracy, model


def digits():
    """Returns images and labels to train with, and others to test with."""
    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32)
    return x[:1408], labels[:1408], x[1408:], labels[1408:]


# %% One run for each activation, and the same formula of Keras beside ours.


def bar(steps):
    """Returns a progress bar, if tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, leave=False)


def main():
    """Trains and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", default=None, help='"local", "host:port"')
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plot", default=None, metavar="FILE.png")
    given = parser.parse_args()

    def ours(activation, **options):
        return actserve.keras.Activation(
            activation, client=given.client, **options
        )

    activations = {
        "spiky": ours(spiky),
        "swish per channel": ours(swish, learnable=["beta"], channels="input"),
        "silu": ours("silu"),
        "silu of Keras": keras.layers.Activation("silu"),
    }
    data = digits()
    curves = {}
    for name, act in activations.items():
        # So many kinks want small steps.
        rate = 0.03 if name == "spiky" else 0.3
        curves[name], accuracy, model = train(act, data, rate, given.epochs)
        print(
            f"{name:17}  loss {curves[name][0]:.4f} -> {curves[name][-1]:.4f}  "
            f"test accuracy {accuracy:.4f}"
        )
        if name == "swish per channel":
            saved = model
    difference = np.max(
        np.abs(np.subtract(curves["silu"], curves["silu of Keras"]))
    )
    print(f"silu, ours and that of Keras: losses differ by {difference:.1e}")

    # %% A saved model holds the text of its activations, and what they learned.
    with tempfile.TemporaryDirectory() as folder:
        saved.save(Path(folder) / "digits.keras")
        loaded = keras.saving.load_model(Path(folder) / "digits.keras")
    same = np.array_equal(
        loaded.predict(data[2], verbose=0), saved.predict(data[2], verbose=0)
    )
    print(f"after saving and loading: {'the same' if same else 'others'}")
    if given.plot:
        draw(curves, given.plot)


if __name__ == "__main__":
    main()
