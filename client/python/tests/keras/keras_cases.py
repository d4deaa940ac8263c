"""What the tests of actserve.keras share; a program for other backends.

usage: keras_cases.py FOLDER

Trains and saves a model, with the backend of $KERAS_BACKEND, and prints as JSON
what test_keras_backends.py compares.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

import actserve
import actserve.keras

SPIKY = """
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0
"""
SWISH = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
GATED = "def gated(x, gate): return x * sigmoid(gate)"


class Swish(keras.layers.Layer):
    """A learnable swish of Keras' own operations."""

    def build(self, shape):
        self.beta = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * keras.ops.sigmoid(self.beta * x)


def spiky(x):
    """Keras' own spiky."""
    r = keras.ops.floor(x)
    r = x - r
    return keras.ops.where(r <= 0.5, r, keras.ops.zeros_like(r))


def layer(activation, **options):
    """actserve.keras.Activation() in this process."""
    return actserve.keras.Activation(
        activation, **{"client": "local"} | options
    )


def data():
    """64 points of two classes."""
    x = np.random.default_rng(1).normal(size=(64, 8)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int32)


def model(native=False, **options):
    """A network with spiky and a swish per channel, always the same weights."""
    hidden = [
        keras.layers.Activation(spiky) if native else layer(SPIKY, **options),
        Swish()
        if native
        else layer(SWISH, learnable=["beta"], channels="input", **options),
    ]
    result = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16),
            hidden[0],
            keras.layers.Dense(12),
            hidden[1],
            keras.layers.Dense(2),
        ]
    )
    rng = np.random.default_rng(2)
    for each in result.layers:
        if isinstance(each, keras.layers.Dense):
            each.set_weights(
                [rng.normal(size=w.shape) / 4 for w in each.get_weights()]
            )
    result.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return result


def losses(trained):
    """Returns the loss of each of 4 epochs."""
    history = trained.fit(
        *data(), epochs=4, batch_size=16, shuffle=False, verbose=0
    )
    return history.history["loss"]


def report(folder):
    """Returns what the backends are compared by."""
    mine, native = model(), model(native=True)
    found = {
        "backend": keras.backend.backend(),
        "losses": losses(mine),
        "native": losses(native),
        "beta": keras.ops.convert_to_numpy(mine.layers[3].beta).tolist(),
    }
    path = folder / "model.keras"
    mine.save(path)
    loaded = keras.saving.load_model(path)
    x = data()[0]
    before = mine.predict(x, verbose=0)
    after = loaded.predict(x, verbose=0)
    found["same after loading"] = bool(np.array_equal(before, after))
    found["losses after loading"] = losses(loaded)
    found["losses without"] = losses(mine)

    x, gate = np.ones((2, 3), np.float32), np.zeros(3, np.float32)
    y = layer(GATED)([x, gate])
    found["gated"] = keras.ops.convert_to_numpy(y).tolist()
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = model()
    keras.config.set_dtype_policy("float32")
    found["mixed losses"] = losses(mixed)
    found["dtypes"] = [
        keras.backend.standardize_dtype(mixed.layers[1](x[:, :1]).dtype),
        keras.backend.standardize_dtype(mixed.layers[3].beta.dtype),
    ]
    try:
        layer(GATED)([x])
    except ValueError as error:
        found["error"] = str(error)
    return found


if __name__ == "__main__":
    print(json.dumps(report(Path(sys.argv[1]))))
