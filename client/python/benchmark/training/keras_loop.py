"""The training in Keras, by train_on_batch."""

import keras
from keras import ops
from task import HIDDEN, RATE, Result, Task, accuracy, digits, weights

import actserve.keras

NATIVE = {
    "spiky": lambda x: ops.where(x % 1 <= 0.5, x % 1, 0),
    "gelu": lambda x: ops.gelu(x, approximate=False),
}


class Swish(keras.layers.Layer):
    """x * sigmoid(beta * x), by Keras' own operations."""

    def build(self, shape):
        """Makes beta."""
        self.beta = self.add_weight(shape=(shape[-1],), name="beta")

    def call(self, x):
        """Returns the result."""
        return x * ops.sigmoid(self.beta * x)


def train(task: Task) -> Result:
    """Trains a Sequential."""
    first = weights(task.has_beta)
    if task.client != "native":
        learnable = {"learnable": ["beta"]} if task.has_beta else {}
        hidden = actserve.keras.Activation(
            task.activation,
            client=task.client,
            channels=HIDDEN if task.has_beta else None,
            **learnable,
            **task.options,
        )
    elif task.has_beta:
        hidden = Swish()
    else:
        hidden = keras.layers.Activation(NATIVE[task.name])
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(HIDDEN),
            hidden,
            keras.layers.Dense(10),
        ]
    )
    model.layers[0].set_weights([first["w1"], first["b1"]])
    model.layers[2].set_weights([first["w2"], first["b2"]])
    if task.has_beta:
        hidden.set_weights([first["beta"]])
    model.compile(
        keras.optimizers.SGD(RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=False,
    )
    losses = []
    for x, y in task.batches():
        # What train_on_batch returns is a mean over all batches so far.
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y)))
    return Result(losses, accuracy(model.predict(digits()[2], verbose=0)))
