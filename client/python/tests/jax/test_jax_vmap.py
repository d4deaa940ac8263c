"""vmap over any axis of anything, nested, under gradients."""

import functools
import itertools

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from jax_cases import (
    assert_same,
    gated,
    numbers,
    ours_gated,
    ours_soft,
    ours_swish,
    soft,
    swish,
)

import actserve.jax

pytestmark = pytest.mark.usefixtures("float64")
AXES = [0, 1, None]


def total(f):
    return lambda *arguments: jnp.sum(jnp.sin(f(*arguments)))


def with_grad(f):
    return lambda *arguments: (
        f(*arguments),
        jax.grad(total(f), argnums=(0, 1))(*arguments),
    )


@pytest.mark.parametrize("shape", [(4,), ()])
@pytest.mark.parametrize(
    "axes", [a for a in itertools.product(AXES, AXES) if a != (None, None)]
)
def test_over_inputs_and_parameters(axes, shape):
    ours = functools.partial(ours_swish, client="local")
    x = numbers(3, 4) if axes[0] is None else numbers(3, 3, 4)
    if axes[0]:
        x = jnp.moveaxis(x, 0, axes[0])
    beta = numbers(*shape, seed=1)
    if axes[1] is not None:
        place = axes[1] if shape else 0
        beta = jnp.moveaxis(numbers(3, *shape, seed=1), 0, place)
        axes = (axes[0], place)

    of = lambda f: jax.vmap(with_grad(f), in_axes=axes)  # noqa: E731
    assert_same(of(ours), of(swish), x, beta)


def test_nested_over_each_alone():
    ours = functools.partial(ours_swish, client="local")
    for shape in ((), (4,)):
        beta = numbers(2, *shape, seed=1)
        for outer, inner in (
            ((0, None), (None, 0)),
            ((None, 0), (0, None)),
        ):
            of = lambda f: jax.vmap(  # noqa: E731
                jax.vmap(with_grad(f), in_axes=inner),  # noqa: B023
                in_axes=outer,  # noqa: B023
            )
            assert_same(of(ours), of(swish), numbers(3, 5, 4), beta)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 0)])
def test_over_inputs_of_unequal_ranks(axes):
    ours = functools.partial(ours_gated, client="local")
    x = numbers(2, 2, 4) if axes[0] is not None else numbers(2, 4)
    gate = numbers(2, 4, seed=1) if axes[1] is not None else numbers(4)

    of = lambda f: jax.vmap(with_grad(f), in_axes=axes)  # noqa: E731
    assert_same(of(ours), of(gated), x, gate)
    of = lambda f: jax.vmap(jax.hessian(total(f)), in_axes=axes)  # noqa: E731
    assert_same(of(ours), of(gated), x, gate)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 0)])
def test_over_rows_and_their_parameter(axes):
    ours = functools.partial(ours_soft, client="local")
    x = numbers(3, 3, 4) if axes[0] is not None else numbers(3, 4)
    temperature = jnp.asarray([0.5, 1.0, 2.0] if axes[1] == 0 else 1.5)

    of = lambda f: jax.vmap(with_grad(f), in_axes=axes)  # noqa: E731
    assert_same(of(ours), of(soft), x, temperature)
    of = lambda f: jax.vmap(jax.hessian(total(f)), in_axes=axes)  # noqa: E731
    assert_same(of(ours), of(soft), x, temperature)


def test_over_the_halves_of_one_tensor():
    def ours(x):
        return actserve.jax.apply("glu", x, split_axis=0, client="local")

    def theirs(x):
        return jax.nn.glu(x, axis=0)

    x = numbers(6, 3, 2)
    assert_same(jax.vmap(ours, 1, 1), jax.vmap(theirs, 1, 1), x)
    of = lambda f: jax.vmap(jax.jacrev(f), 1)  # noqa: E731
    assert_same(of(ours), of(theirs), x)


def test_it_is_one_call_for_the_whole_batch():
    ours = jax.vmap(
        jax.vmap(functools.partial(ours_swish, client="local")),
        in_axes=(0, None),
    )
    program = str(jax.make_jaxpr(ours)(numbers(3, 5, 4), numbers(5)))

    assert program.count("actserve[") == 1
    assert "scan" not in program
    assert "while" not in program


def test_of_numbers_without_axes():
    def ours(x):
        return actserve.jax.apply("silu", x, client="local")

    x = numbers(5)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(jax.grad(ours)))(x),
        jax.vmap(jax.grad(jax.grad(jax.nn.silu)))(x),
        rtol=1e-10,
    )
