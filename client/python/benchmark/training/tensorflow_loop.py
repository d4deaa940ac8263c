"""The training in TensorFlow."""

import tensorflow as tf
from task import RATE, Result, Task, accuracy, digits, weights

import actserve.tensorflow

NATIVE = {
    "spiky": lambda x: tf.where(x % 1 <= 0.5, x % 1, 0),
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "swish": lambda x, beta: x * tf.sigmoid(beta * x),
}


def train(task: Task) -> Result:
    """Trains by a GradientTape, eagerly."""
    values = {
        name: tf.Variable(value)
        for name, value in weights(task.has_beta).items()
    }

    def hidden(x):
        if task.client == "native":
            beta = [values["beta"]] if task.has_beta else []
            return NATIVE[task.name](x, *beta)
        parameters = {"beta": values["beta"]} if task.has_beta else None
        return actserve.tensorflow.apply(
            task.activation,
            x,
            parameters=parameters,
            client=task.client,
            **task.options,
        )

    def logits(x):
        return (
            hidden(x @ values["w1"] + values["b1"]) @ values["w2"]
            + values["b2"]
        )

    losses = []
    for x, y in task.batches():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    y, logits(tf.constant(x))
                )
            )
        gradients = tape.gradient(loss, list(values.values()))
        for value, gradient in zip(values.values(), gradients, strict=True):
            value.assign_sub(RATE * gradient)
        losses.append(float(loss))
    return Result(losses, accuracy(logits(tf.constant(digits()[2])).numpy()))
