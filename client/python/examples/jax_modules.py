"""Owns a learnable parameter in a module of Flax nnx, Flax linen and Equinox.

Each one fits |x| with 16 swishes, whose steepness is learned for each channel.
Needs jax and any of flax and equinox.
"""

import importlib.util

import jax
import jax.numpy as jnp

import actserve
import actserve.jax


@actserve.activation
def swish(x, beta=1.0):
    """SiLU with a steepness."""
    return x / (1 + exp(-beta * x))  # noqa: F821


act = actserve.jax.Activation(swish, learnable=["beta"], channels=16)
x = jnp.linspace(-2, 2, 64)[:, None]
target = jnp.abs(x)


def descend(loss, weights, steps=100):
    """Returns first and last loss, and the weights, of gradient descent."""

    @jax.jit
    def step(weights, _):
        value, slopes = jax.value_and_grad(loss)(weights)
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, slopes), value

    weights, values = jax.lax.scan(step, weights, length=steps)
    return values[0], values[-1], weights


def with_nnx():
    """Flax nnx: an nnx.Param."""
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(1, 16, rngs=rngs)
            self.last = nnx.Linear(16, 1, rngs=rngs)
            self.beta = nnx.Param(act.init()["beta"])

        def __call__(self, x):
            return self.last(act(self.first(x), beta=self.beta[...]))

    graph, state = nnx.split(Model(nnx.Rngs(0)))

    def loss(state):
        return ((nnx.merge(graph, state)(x) - target) ** 2).mean()

    first, last, state = descend(loss, state)
    return first, last, nnx.merge(graph, state).beta[...]


def with_linen():
    """Flax linen: self.param()."""
    from flax import linen as nn

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            beta = self.param("beta", lambda _: act.init()["beta"])
            return nn.Dense(1)(act(nn.Dense(16)(x), beta=beta))

    model = Model()

    def loss(weights):
        return ((model.apply(weights, x) - target) ** 2).mean()

    first, last, weights = descend(loss, model.init(jax.random.key(0), x))
    return first, last, weights["params"]["beta"]


def with_equinox():
    """Equinox: a field that is an array."""
    import equinox as eqx

    class Swish(eqx.Module):
        beta: jax.Array

        def __call__(self, x, *, key=None):
            return act(x, beta=self.beta)

    first, last = jax.random.split(jax.random.key(0))
    model = eqx.nn.Sequential(
        [
            eqx.nn.Linear(1, 16, key=first),
            Swish(act.init()["beta"]),
            eqx.nn.Linear(16, 1, key=last),
        ]
    )

    def loss(model):
        return ((jax.vmap(model)(x) - target) ** 2).mean()

    first, last, model = descend(loss, model)
    return first, last, model[1].beta


def main():
    """Fits with what is installed."""
    for package, fit in (
        ("flax", with_nnx),
        ("flax", with_linen),
        ("equinox", with_equinox),
    ):
        if importlib.util.find_spec(package) is None:
            print(f"no {package}: left out")
            continue
        first, last, beta = fit()
        print(
            f"{fit.__doc__.split(':')[0]:11}  loss {first:.4f} -> {last:.4f}  "
            f"beta {beta.min():.3f} to {beta.max():.3f}"
        )


if __name__ == "__main__":
    main()
