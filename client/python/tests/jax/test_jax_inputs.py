"""Dtypes, shapes and arguments, right and wrong, as a user gives them."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import SPIKY, SWISH, sigmoid
from jax_cases import RuntimeFailure

import actserve
import actserve.jax

pytestmark = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("beta_dtype", ["float32", "bfloat16"])
def test_dtypes_are_kept(dtype, beta_dtype, float64):
    x = np.linspace(-3, 3, 24).reshape(4, 6)
    for shape in ((), (6,)):
        given = jnp.asarray(x, dtype), jnp.full(shape, 1.5, beta_dtype)

        def loss(x, beta):
            y = actserve.jax.apply(
                SWISH, x, parameters={"beta": beta}, client="local"
            )
            return y.astype(jnp.float32).sum(), y

        (_, y), (dx, dbeta) = jax.jit(
            jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        )(*given)

        assert y.dtype == dx.dtype == dtype
        assert (dbeta.dtype, dbeta.shape) == (beta_dtype, shape)
        exact = np.asarray(given[0], np.float64)
        s = sigmoid(1.5 * exact)
        close = {"rtol": 0.02, "atol": 0.02} if y.itemsize == 2 else {}
        close = close or {"rtol": 1e-5, "atol": 1e-5}
        np.testing.assert_allclose(np.float64(y), exact * s, **close)
        slope = s + 1.5 * exact * s * (1 - s)
        np.testing.assert_allclose(np.float64(dx), slope, **close)
        want = (exact * exact * s * (1 - s)).sum(0 if shape else None)
        np.testing.assert_allclose(
            np.float64(dbeta), want, rtol=0.03 if y.itemsize == 2 else 0.01
        )


def test_16_bit_gradients_are_rounded_once():
    x = jnp.linspace(-6, 6, 999).astype(jnp.bfloat16)
    g = jnp.linspace(1, 2, 999).astype(jnp.bfloat16)

    def ours(x):
        return actserve.jax.apply("silu", x, client="local")

    (dx,) = jax.vjp(ours, x)[1](g)

    exact = np.asarray(x, np.float64)
    s = sigmoid(exact)
    want = np.asarray(g, np.float64) * (s + exact * s * (1 - s))
    np.testing.assert_array_equal(dx, want.astype(jnp.bfloat16))


def test_without_the_float64_flag_arrays_are_float32():
    y = actserve.jax.apply("gelu", np.linspace(-1, 1, 5), client="local")

    assert y.dtype == jnp.float32


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4, 5)])
def test_any_shape(shape):
    x = jnp.full(shape, 0.7)
    act = actserve.jax.Activation("silu", client="local")

    y, pull = jax.vjp(act, x)

    np.testing.assert_allclose(y, jax.nn.silu(x), rtol=1e-6)
    assert pull(y)[0].shape == shape


def test_shapes_need_no_call():
    act = actserve.jax.Activation("gelu", client="127.0.0.1:1", timeout=0.1)
    x = jax.ShapeDtypeStruct((3, 4), jnp.bfloat16)

    y = jax.eval_shape(act, x)
    dx = jax.eval_shape(lambda x: jax.vjp(act, x)[1](x)[0], x)

    assert (y.shape, y.dtype) == (dx.shape, dx.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64", "uint8"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=rf"inputs\[0\] is of {dtype}"):
        actserve.jax.apply(SPIKY, jnp.ones(3, dtype), client="local")


def ones(*shape):
    return jnp.ones(shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: actserve.jax.apply("glu", ones(3), ones(3, 1) > 0),
            TypeError,
            "inputs.1. is of bool",
        ),
        (
            lambda: actserve.jax.apply(
                "glu", ones(3), ones(3).astype(jnp.float16)
            ),
            TypeError,
            "inputs.1. is of float16, but inputs.0. of float32",
        ),
        (
            lambda: actserve.jax.apply("glu", ones(3)),
            ValueError,
            "takes 2 inputs .x, gate., not 1",
        ),
        (
            lambda: actserve.jax.apply("glu", ones(5), split_axis=0),
            ValueError,
            "does not split into 2 equal parts",
        ),
        (
            lambda: actserve.jax.apply("glu", ones(4), split_axis=1),
            ValueError,
            "split_axis 1 is no axis",
        ),
        (
            lambda: actserve.jax.apply("softmax", ones(4), axis=1),
            ValueError,
            "axis 1 is no axis of a tensor of 1 axes",
        ),
        (
            lambda: actserve.jax.apply("softmax", ones(4)),
            ValueError,
            "reads rows: give the axis",
        ),
        (
            lambda: actserve.jax.apply("gelu", ones(4), parameters={"b": 1.0}),
            TypeError,
            "gelu has no parameter 'b'",
        ),
        (
            lambda: actserve.jax.apply(
                SWISH, ones(2, 4), parameters={"beta": ones(3)}
            ),
            ValueError,
            r"beta has the shape \[3\], but axis -1 .* of \[2, 4\] have \[4\]",
        ),
        (
            lambda: actserve.jax.apply(
                SWISH, ones(4), parameters={"beta": ones(4) > 0}
            ),
            TypeError,
            "the parameter beta is of bool",
        ),
        (
            lambda: actserve.jax.apply("gelu", ones(4), gradient="exact"),
            ValueError,
            "gradient is 'exact', not one of",
        ),
        (
            lambda: actserve.jax.apply("def f(x): return x * zeta", ones(4)),
            actserve.ActivationError,
            "zeta",
        ),
        (
            lambda: actserve.jax.Activation("def f(x): return x * zeta"),
            actserve.ActivationError,
            "zeta",
        ),
        (
            lambda: actserve.jax.Activation(SWISH, learnable=["alpha"]),
            TypeError,
            "swish has no parameter 'alpha'; it has beta",
        ),
        (
            lambda: actserve.jax.Activation(SWISH, channels=3),
            ValueError,
            "channels is 3, but no parameter is learnable",
        ),
        (
            lambda: actserve.jax.Activation(
                SWISH, learnable={"beta": [1.0, 2.0]}, channels=3
            ),
            ValueError,
            "has 2 values for 3 channels",
        ),
        (
            lambda: actserve.jax.Activation(
                SWISH, learnable=["beta"], client="local"
            )(ones(3)),
            TypeError,
            "the learnable parameter beta is missing",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_errors_inside_of_a_program_name_us():
    act = actserve.jax.Activation(
        "def f(x, seed=0): return x * uniform(seed)", client="local"
    )
    program = jax.jit(lambda x, seed: act(x, seed=seed))

    with pytest.raises(
        RuntimeFailure,
        match=r"actserve: parameters: 'seed' is 0\.5",
    ) as caught:
        jax.block_until_ready(program(ones(3), 0.5))

    assert "INVALID_ARGUMENT" in str(caught.value)
    assert program(ones(3), 1.0).shape == (3,)  # as before


def test_the_way_of_a_call(way):
    text = (
        jax.jit(actserve.jax.Activation("gelu", client="local"))
        .lower(ones(3))
        .as_text()
    )

    assert ("callback" in text) == (way == "callback")
    assert ("kind forward" in text) == (way == "native")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (jax.nn.silu, "jax.nn.silu is a function of jax: pass the name 'silu'"),
        (jax.nn.gelu, "pass the name 'gelu_tanh'"),
        (jnp.tanh, "pass the name 'tanh'"),
    ],
)
def test_functions_of_jax_name_the_built_in(given, said):
    with pytest.raises(TypeError, match=said):
        actserve.jax.Activation(given, client="local")
