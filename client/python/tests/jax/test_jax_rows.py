"""Functions of rows, and gradients that their authors declared."""

import functools

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import STEP, SWISH
from jax.test_util import check_grads
from jax_cases import assert_same, numbers, ours_soft, soft

import actserve.jax

pytestmark = pytest.mark.usefixtures("float64", "way")
ours_soft = functools.partial(ours_soft, client="local")


def total(f):
    return lambda *arguments: jnp.sum(jnp.sin(f(*arguments)))


def test_rows_agree_with_differences():
    arguments = numbers(3, 4), jnp.asarray(1.5)
    check_grads(ours_soft, arguments, order=1, modes=("fwd", "rev"))
    check_grads(ours_soft, arguments, order=2, modes=("rev",))


TRANSFORMS = {
    "jit of grad": lambda f: jax.jit(jax.grad(total(f), argnums=(0, 1))),
    "jvp": lambda f: lambda x, t: jax.jvp(f, (x, t), (jnp.cos(x), t)),
    "jacfwd": jax.jacfwd,
    "jacrev": jax.jacrev,
    "hessian": lambda f: jax.hessian(total(f), argnums=(0, 1)),
    "grad of grad": lambda f: jax.grad(
        total(jax.grad(total(f))), argnums=(0, 1)
    ),
    "grad of jvp": lambda f: jax.grad(
        total(lambda x, t: jax.jvp(f, (x, t), (jnp.cos(x), t))[1]),
        argnums=(0, 1),
    ),
    "vmap of grad": lambda f: jax.vmap(
        jax.grad(total(f), argnums=(0, 1)), in_axes=(0, None)
    ),
    "grad of vmap": lambda f: jax.grad(
        total(jax.vmap(f, in_axes=(0, None))), argnums=(0, 1)
    ),
    "linear transpose": lambda f: (
        lambda x, t: jax.linear_transpose(jax.vjp(f, x, t)[1], x)(
            (jnp.cos(x), t)
        )
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_compositions_are_those_of_the_formula(transform):
    of = TRANSFORMS[transform]
    assert_same(of(ours_soft), of(soft), numbers(3, 4), jnp.asarray(1.5))


def test_any_axis():
    def ours(x):
        return actserve.jax.apply("softmax", x, axis=1, client="local")

    def theirs(x):
        return jax.nn.softmax(x, axis=1)

    x = numbers(2, 3, 4)
    assert_same(ours, theirs, x)
    assert_same(jax.jacrev(ours), jax.jacrev(theirs), x)
    assert_same(jax.vmap(ours, 2, 2), jax.vmap(theirs, 2, 2), x)


def test_a_norm_with_weights_per_channel():
    def ours(x, weight, bias):
        return actserve.jax.apply(
            "layer_norm",
            x,
            parameters={"weight": weight, "bias": bias},
            axis=-1,
            client="local",
        )

    def theirs(x, weight, bias):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / jnp.sqrt(variance + 1e-5) * weight + bias

    arguments = numbers(5, 6), numbers(6, seed=1), numbers(6, seed=2)
    assert_same(ours, theirs, *arguments)
    for of in (
        lambda f: jax.grad(total(f), argnums=(0, 1, 2)),
        lambda f: jax.hessian(total(f), argnums=(0, 1)),
        lambda f: jax.vmap(jax.grad(total(f)), in_axes=(0, None, None)),
    ):
        assert_same(of(ours), of(theirs), *arguments, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("again", ["jvp of jvp", "third"])
def test_what_is_not_computed_says_so(again):
    def scalar(f):
        return lambda x: f(x)[0]

    x = numbers(4)
    if again == "third":
        first = jax.grad(scalar(ours_soft))
        second = jax.grad(scalar(first))
        with pytest.raises(TypeError, match="third derivatives of functions"):
            jax.grad(scalar(second))(x)
        return
    first = lambda x: jax.jvp(ours_soft, (x,), (x,))[1]  # noqa: E731
    with pytest.raises(TypeError, match=r"actserve: .*forward mode"):
        jax.jvp(first, (x,), (x,))


def declared(x, dy=1.0):
    return dy / (1 + jnp.abs(x)) ** 2


def test_a_declared_gradient_is_used_and_differentiated():
    def step(x):
        return actserve.jax.apply(STEP, x, client="local")

    x = numbers(7)
    slope = jax.grad(lambda x: (step(x) * jnp.cos(x)).sum())

    np.testing.assert_array_equal(step(x), x > 0)
    want = declared(x) * jnp.cos(x) - step(x) * jnp.sin(x)
    np.testing.assert_allclose(slope(x), want, rtol=1e-12)
    _, tangent = jax.jvp(step, (x,), (jnp.cos(x),))
    np.testing.assert_allclose(tangent, declared(x) * jnp.cos(x), rtol=1e-12)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(jax.grad(step)))(x),
        jax.vmap(jax.grad(declared))(x),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        jax.hessian(lambda x: step(x).sum())(x),
        jnp.diag(jax.vmap(jax.grad(declared))(x)),
        rtol=1e-12,
    )


def test_a_gradient_that_is_not_linear_in_its_upstream():
    text = """
def clipped(x):
    return x * x

def clipped_grad(x, dy):
    return max(-1, min(1, 2 * x * dy))
"""

    def ours(x):
        return actserve.jax.apply(text, x, client="local")

    x = jnp.asarray([-2.0, -0.2, 0.1, 0.3, 3.0])
    dy = jnp.asarray([1.0, 1.0, -2.0, 0.5, -9.0])
    pulled = jnp.clip(2 * x * dy, -1, 1)

    np.testing.assert_allclose(jax.vjp(ours, x)[1](dy)[0], pulled)
    by_dy = jax.grad(lambda dy: jax.vjp(ours, x)[1](dy)[0].sum())(dy)
    inside = jnp.abs(2 * x * dy) < 1
    np.testing.assert_allclose(by_dy, jnp.where(inside, 2 * x, 0))
    along = jax.jvp(lambda dy: jax.vjp(ours, x)[1](dy)[0], (dy,), (x,))[1]
    np.testing.assert_allclose(along, jnp.where(inside, 2 * x * x, 0))
    with pytest.raises(Exception, match="linear"):
        jax.jvp(ours, (x,), (x,))


def test_declared_gradients_of_gates_have_no_forward_mode_of_second_order():
    text = """
def product(x, y):
    return x * y

def product_grad(x, y, dy):
    return dy * y, 2 * dy * x
"""

    def ours(x, y):
        return actserve.jax.apply(text, x, y, client="local").sum()

    x, y = numbers(3), numbers(3, seed=1)
    first = jax.grad(ours, argnums=(0, 1))

    np.testing.assert_allclose(first(x, y)[1], 2 * x)
    mixed = jax.grad(lambda x, y: first(x, y)[1].sum(), argnums=(0, 1))
    np.testing.assert_allclose(mixed(x, y)[0], jnp.full(3, 2.0))
    np.testing.assert_allclose(mixed(x, y)[1], jnp.zeros(3))
    with pytest.raises(TypeError, match=r"actserve: .*forward mode"):
        jax.jvp(first, (x, y), (x, y))


def test_stateless_asks_for_the_gradient_with_the_inputs():
    def ours(x):
        return actserve.jax.apply(
            SWISH, x, client="local", gradient="stateless"
        )

    _, pull = jax.vjp(ours, numbers(3))

    assert "operation=gradient of" in str(jax.make_jaxpr(pull)(numbers(3)))
