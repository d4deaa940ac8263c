"""Functions of the element: any derivative, in any composition."""

import functools

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import (
    QUESTION_DX,
    QUESTION_X,
    QUESTION_Y,
    SPIKY,
    SWISH,
)
from jax.test_util import check_grads
from jax_cases import (
    assert_same,
    gated,
    numbers,
    ours_gated,
    ours_swish,
    swish,
)

import actserve.jax

pytestmark = pytest.mark.usefixtures("float64", "way")
ours_swish = functools.partial(ours_swish, client="local")
ours_gated = functools.partial(ours_gated, client="local")

BETAS = {"number": 1.5, "per channel": [0.5, -1.0, 2.0, 1.0]}


def test_partials_have_derivatives_of_any_order():
    def ours(x):
        return actserve.jax.apply(SWISH, x, client="local", gradient="partials")

    x = numbers(9)
    check_grads(jax.jit(ours), (x,), order=2)
    third = lambda f: jax.vmap(jax.grad(jax.grad(jax.grad(f))))  # noqa: E731
    assert_same(third(ours), third(swish), x)


@pytest.fixture(params=BETAS)
def beta(request):
    return jnp.asarray(BETAS[request.param])


def test_the_question_this_began_with():
    act = actserve.jax.Activation(SPIKY, client="local")

    y, pull = jax.vjp(jax.jit(act), jnp.asarray(QUESTION_X))

    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, QUESTION_Y)
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0], QUESTION_DX)


def test_derivatives_agree_with_differences_in_both_modes(beta):
    check_grads(jax.jit(ours_swish), (numbers(3, 4), beta), order=2)


def total(f):
    """A scalar function of all arguments."""
    return lambda *arguments: jnp.sum(jnp.sin(f(*arguments)))


TRANSFORMS = {
    "value": lambda f: f,
    "grad": lambda f: jax.grad(total(f), argnums=(0, 1)),
    "jit of grad": lambda f: jax.jit(jax.grad(total(f), argnums=(0, 1))),
    "grad of jit": lambda f: jax.grad(total(jax.jit(f)), argnums=(0, 1)),
    "hessian": lambda f: jax.hessian(total(f), argnums=(0, 1)),
    "jacrev of jacfwd": lambda f: jax.jacrev(jax.jacfwd(f), argnums=1),
    "jvp of jvp": lambda f: (
        lambda x, b: jax.jvp(
            lambda x: jax.jvp(f, (x, b), (jnp.cos(x), b))[1], (x,), (x,)
        )
    ),
    "grad of jvp": lambda f: jax.grad(
        total(lambda x, b: jax.jvp(f, (x, b), (jnp.cos(x), b))[1]),
        argnums=(0, 1),
    ),
    "grad of grad of grad": lambda f: jax.grad(
        total(jax.grad(total(jax.grad(total(f)))))
    ),
    "vmap of grad": lambda f: jax.vmap(
        jax.grad(total(f), argnums=(0, 1)), in_axes=(0, None)
    ),
    "remat": lambda f: jax.grad(total(jax.checkpoint(f)), argnums=(0, 1)),
    "linearize": lambda f: lambda x, b: jax.linearize(f, x, b)[1](x, b),
    "linear transpose": lambda f: (
        lambda x, b: jax.linear_transpose(jax.linearize(f, x, b)[1], x, b)(
            jnp.cos(x)
        )
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_compositions_are_those_of_the_formula(transform, beta):
    of = TRANSFORMS[transform]
    assert_same(of(ours_swish), of(swish), numbers(3, 4), beta)


def test_in_a_scan_over_steps():
    def steps(f):
        def body(x, _):
            return f(x, 1.5) + 0.1, x.sum()

        return jax.grad(lambda x: jnp.sum(jax.lax.scan(body, x, length=5)[0]))

    assert_same(steps(ours_swish), steps(swish), numbers(7))


def test_inputs_broadcast_and_so_do_their_gradients():
    x, gate = numbers(3, 1, 4), numbers(5, 1, seed=1)
    for of in (
        TRANSFORMS["value"],
        TRANSFORMS["grad"],
        TRANSFORMS["hessian"],
    ):
        assert_same(of(ours_gated), of(gated), x, gate)


def test_the_halves_of_one_tensor():
    def ours(x):
        return actserve.jax.apply("glu", x, split_axis=1, client="local")

    x = numbers(2, 6, 3)

    def theirs(x):
        return jax.nn.glu(x, axis=1)

    assert_same(ours, theirs, x)
    assert_same(jax.hessian(total(ours)), jax.hessian(total(theirs)), x)
    check_grads(jax.jit(ours), (x,), order=2)


@pytest.mark.parametrize(
    "name",
    ["silu", "gelu", "mish", "softplus", "tanh", "relu", "elu", "selu"],
)
def test_functions_that_jax_has(name):
    def theirs(x):
        if name == "gelu":
            return jax.nn.gelu(x, approximate=False)
        return getattr(jax.nn, name)(x)

    def ours(x):
        return actserve.jax.apply(name, x, client="local")

    x = numbers(50) * 4
    assert_same(ours, theirs, x)
    assert_same(jax.vmap(jax.grad(ours)), jax.vmap(jax.grad(theirs)), x)


def test_partials_keep_the_slope_and_no_input():
    _, pull = jax.vjp(
        lambda x: actserve.jax.apply(
            SWISH, x, client="local", gradient="partials"
        ),
        numbers(3),
    )
    program = str(jax.make_jaxpr(pull)(numbers(3)))

    assert "actserve" not in program
    assert " mul " in program


def test_random_numbers_are_those_of_the_forward():
    text = "def drop(x, seed=0): return x * 2 if uniform(seed) < 0.5 else 0"

    @jax.jit
    def drop(x, seed):
        return actserve.jax.apply(
            text, x, parameters={"seed": seed}, client="local"
        )

    x = numbers(100)
    y = drop(x, 7)
    slopes = jax.grad(lambda x: drop(x, 7).sum())(x)

    np.testing.assert_array_equal(np.asarray(y) != 0, slopes == 2)
    assert 20 < np.count_nonzero(y) < 80
    assert not np.array_equal(y, drop(x, 8))
