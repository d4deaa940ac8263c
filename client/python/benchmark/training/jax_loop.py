"""The training in JAX."""

import jax
import jax.numpy as jnp
from task import RATE, Result, Task, accuracy, digits, weights

import actserve.jax

NATIVE = {
    "spiky": lambda x: jnp.where(x % 1 <= 0.5, x % 1, 0),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "swish": lambda x, beta: x * jax.nn.sigmoid(beta * x),
}


def train(task: Task) -> Result:
    """Trains by value_and_grad under jit."""
    values = jax.tree.map(jnp.asarray, weights(task.has_beta))

    def hidden(values, x):
        if task.client == "native":
            beta = [values["beta"]] if task.has_beta else []
            return NATIVE[task.name](x, *beta)
        parameters = {"beta": values["beta"]} if task.has_beta else None
        return actserve.jax.apply(
            task.activation,
            x,
            parameters=parameters,
            client=task.client,
            **task.options,
        )

    def logits(values, x):
        inner = hidden(values, x @ values["w1"] + values["b1"])
        return inner @ values["w2"] + values["b2"]

    def loss_of(values, x, y):
        chances = jax.nn.log_softmax(logits(values, x))
        return -jnp.take_along_axis(chances, y[:, None], 1).mean()

    @jax.jit
    def step(values, x, y):
        loss, gradients = jax.value_and_grad(loss_of)(values, x, y)
        return loss, jax.tree.map(lambda v, g: v - RATE * g, values, gradients)

    losses = []
    for x, y in task.batches():
        loss, values = step(values, x, y)
        losses.append(float(loss))
    test = jax.jit(logits)(values, digits()[2])
    return Result(losses, accuracy(jax.device_get(test)))
