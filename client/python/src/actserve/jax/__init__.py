"""Activations in JAX: plain functions that jit, grad and vmap transform.

import actserve, actserve.jax

@actserve.activation
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0

act = actserve.jax.Activation(spiky)
jax.vmap(jax.grad(act))(jnp.linspace(0.0, 2.0, 9))
"""

from actserve.jax import _batching, _derivatives  # noqa: F401
from actserve.jax._activation import Activation
from actserve.jax._apply import apply

__all__ = ["Activation", "apply"]
