"""The formulas of bridge_cases in jax.numpy, and where they are computed."""

import jax
import jax.numpy as jnp
import numpy as np
from bridge_cases import GATED, SOFTMAX, SWISH

import actserve.jax

# What a program that runs raises.
RuntimeFailure = getattr(jax.errors, "JaxRuntimeError", Exception)


def swish(x, beta=1.0):
    """That of SWISH; beta broadcasts."""
    return x * jax.nn.sigmoid(beta * x)


def soft(x, temperature=1.0):
    """That of SOFTMAX along the last axis."""
    return jax.nn.softmax(x / temperature, axis=-1)


def gated(x, gate):
    """That of GATED."""
    return x * jax.nn.sigmoid(gate)


def ours_swish(x, beta=1.0, **options):
    return actserve.jax.apply(SWISH, x, parameters={"beta": beta}, **options)


def ours_soft(x, temperature=1.0, **options):
    return actserve.jax.apply(
        SOFTMAX,
        x,
        parameters={"temperature": temperature},
        axis=-1,
        **options,
    )


def ours_gated(x, gate, **options):
    return actserve.jax.apply(GATED, x, gate, **options)


def assert_same(ours, theirs, *arguments, rtol=1e-9, atol=1e-11):
    """Both functions give the same tree of arrays, as programs."""
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol),
        jax.jit(ours)(*arguments),
        jax.jit(theirs)(*arguments),
    )


def numbers(*shape, seed=0):
    """Normal numbers in float64."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))
