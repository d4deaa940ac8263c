"""Values and gradients, against TensorFlow's own operations."""

import numpy as np
import pytest
from bridge_cases import GATED, SOFTMAX, STEP, SWISH
from tensorflow_cases import (
    apply,
    assert_close,
    gradients,
    module,
    normal,
    spiky,
    swish,
    tf,
)


def gelu(x):
    """As tf.nn.gelu, whose 1/sqrt(2) is that of float32 in float64."""
    return x * 0.5 * (1 + tf.math.erf(x * tf.constant(0.5**0.5, x.dtype)))


def gelu_tanh(x):
    """As tf.nn.gelu, whose constants are those of float32 in float64."""
    scale = tf.constant((2 / np.pi) ** 0.5, x.dtype)
    cubic = tf.constant(0.044715, x.dtype) * x**3
    return 0.5 * x * (1 + tf.tanh(scale * (x + cubic)))


# tf.nn.softsign has no second gradient, and leaky_relu a slope of float32.
NATIVE = {
    "elu": tf.nn.elu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "leaky_relu": lambda x: tf.where(x > 0, x, x * tf.constant(0.01, x.dtype)),
    "logsigmoid": tf.math.log_sigmoid,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "silu": tf.nn.silu,
    "softplus": tf.nn.softplus,
    "softsign": lambda x: x / (1 + tf.abs(x)),
    "tanh": tf.nn.tanh,
}
TOLERANCE = {
    "float32": {"rtol": 2e-5, "atol": 2e-6},
    "float64": {"rtol": 1e-12, "atol": 1e-13},
}
WAYS = {"eager": lambda f: f, "graph": tf.function}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NATIVE)
def test_values_and_gradients_are_those_of_tensorflow(name, way):
    x = normal(5, 7, dtype="float64") * 3
    f = WAYS[way](lambda x: apply(name, x))
    for order in (1, 2):
        assert_close(
            gradients(f, x, order=order),
            gradients(NATIVE[name], x, order=order),
            **TOLERANCE["float64"],
        )


@pytest.mark.parametrize("name", NATIVE)
def test_float32(name):
    x = normal(5, 7)
    for order in (1, 2):
        assert_close(
            gradients(lambda x: apply(name, x), x, order=order),
            gradients(NATIVE[name], x, order=order),
            **TOLERANCE["float32"],
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("way", WAYS)
def test_results_of_16_bits_are_rounded_once(way, dtype):
    x = normal(64, dtype=dtype)
    f = WAYS[way](lambda x: apply("gelu", x))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    dx = tape.gradient(y, x)

    exact = tf.cast(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(exact)
        wanted = NATIVE["gelu"](exact)
    assert (y.dtype, dx.dtype) == (x.dtype, x.dtype)
    np.testing.assert_array_equal(y.numpy(), tf.cast(wanted, dtype).numpy())
    np.testing.assert_array_equal(
        dx.numpy(), tf.cast(tape.gradient(wanted, exact), dtype).numpy()
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_parameter_is_learned_as_one_number_or_per_channel(way):
    x = normal(4, 3, 5, dtype="float64")
    ours = WAYS[way](
        lambda x, beta: apply(
            SWISH, x, parameters={"beta": beta}, channel_axis=-2
        )
    )
    for beta in (tf.constant(1.5, tf.float64), normal(3, dtype="float64")):
        shape = (-1, 1) if beta.shape.rank else ()
        for order in (1, 2):
            assert_close(
                gradients(ours, x, beta, order=order),
                gradients(
                    lambda x, b, s=shape: swish(x, tf.reshape(b, s)),
                    x,
                    beta,
                    order=order,
                ),
                **TOLERANCE["float64"],
            )


def test_a_parameter_has_a_dtype_of_its_own():
    x, beta = normal(4, 3, dtype="bfloat16"), normal(3)
    y, dx, dbeta = gradients(
        lambda x, b: tf.cast(
            apply(SWISH, x, parameters={"beta": b}), "float32"
        ),
        x,
        beta,
    )
    wanted = gradients(swish, tf.cast(x, "float32"), beta)
    assert_close([y, dx.astype("float32"), dbeta], wanted, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("way", WAYS)
def test_rows_gates_and_broadcasts(way):
    x, gate = normal(3, 1, dtype="float64"), normal(1, 4, dtype="float64")
    square = normal(3, 4, dtype="float64")
    for ours, native, inputs in (
        (
            lambda x: apply(SOFTMAX, x, axis=0),
            lambda x: tf.nn.softmax(x, axis=0),
            [square],
        ),
        (
            lambda x: apply(GATED, x, split_axis=-1),
            lambda x: x[:, :2] * tf.sigmoid(x[:, 2:]),
            [square],
        ),
        (
            lambda x, g: apply(GATED, x, g),
            lambda x, g: x * tf.sigmoid(g),
            [x, gate],
        ),
    ):
        for order in (1, 2):
            assert_close(
                gradients(WAYS[way](ours), *inputs, order=order),
                gradients(native, *inputs, order=order),
                **TOLERANCE["float64"],
            )


@pytest.mark.parametrize("way", WAYS)
def test_a_declared_gradient_is_used(way):
    x = normal(9)
    y, dx = gradients(WAYS[way](lambda x: apply(STEP, x)), x)
    np.testing.assert_array_equal(y, np.where(x > 0, 1, 0))
    np.testing.assert_allclose(dx, np.cos(y) / (1 + np.abs(x)) ** 2, rtol=1e-6)


def test_gradients_agree_with_differences():
    x = normal(2, 3, dtype="float64") + 0.1
    beta = normal(3, dtype="float64")

    def f(x, beta):
        return apply(SWISH, x, parameters={"beta": beta})

    def slope(x, beta):
        with tf.GradientTape() as tape:
            tape.watch([x, beta])
            y = f(x, beta)
        return tf.concat([tf.reshape(tape.gradient(y, x), [-1])], 0)

    for function in (f, slope):
        derived, measured = tf.test.compute_gradient(
            function, [x, beta], delta=1e-5
        )
        assert_close(derived, measured, rtol=1e-6, atol=1e-8)


def test_numbers_and_lists_are_taken():
    np.testing.assert_array_equal(apply("relu", [-1.0, 2.0]), [0, 2])
    x = np.array([1.0, -1.0])
    y = apply(GATED, x, 0.0, parameters=None)
    assert y.dtype == tf.float64
    np.testing.assert_array_equal(y, [0.5, -0.5])
    assert apply("relu", tf.zeros([0, 3])).shape == (0, 3)


def test_a_seed_that_is_a_tensor_draws_as_the_number():
    drop = """
def drop(x, keep=0.5, seed=0):
    return x / keep if uniform(seed) < keep else 0
"""
    x = tf.ones([64])
    f = tf.function(lambda x, seed: apply(drop, x, parameters={"seed": seed}))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first = f(x, tf.constant(1))
        second = f(x, tf.constant(2))
    one = apply(drop, x, parameters={"seed": 1})
    np.testing.assert_array_equal(first, one)
    np.testing.assert_array_equal(tape.gradient(first, x), one)
    assert not np.array_equal(first, second)


def test_float32_is_that_of_the_operations_of_tensorflow():
    x = normal(1000)
    for name, native in (
        ("gelu", lambda x: tf.nn.gelu(x, approximate=False)),
        ("gelu_tanh", lambda x: tf.nn.gelu(x, approximate=True)),
        ("leaky_relu", lambda x: tf.nn.leaky_relu(x, 0.01)),
        ("softsign", tf.nn.softsign),
    ):
        assert_close(
            gradients(lambda x, n=name: apply(n, x), x),
            gradients(native, x),
            **TOLERANCE["float32"],
        )


def test_large_tensors_are_those_of_tensorflow():
    x = normal(300, 1000)
    y, dx = gradients(lambda x: apply("silu", x), x)
    assert_close([y, dx], gradients(tf.nn.silu, x), **TOLERANCE["float32"])
    half = tf.cast(x, tf.bfloat16)
    y = apply("relu", half)
    np.testing.assert_array_equal(y, tf.nn.relu(half))


def test_spiky_is_what_its_formula_is():
    x = normal(1000)
    text = "def spiky(x):\n    r = x % 1\n    return r if r <= 0.5 else 0\n"
    assert_close(
        gradients(lambda x: apply(text, x), x), gradients(spiky, x), rtol=1e-6
    )


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_parameters_that_differ_in_the_sign_of_zero_differ(zero):
    reciprocal = "def reciprocal(x, a=1.0): return x / a"
    x = tf.ones(1)

    apply(reciprocal, x, parameters={"a": -zero})
    y = apply(reciprocal, x, parameters={"a": zero})

    assert y.numpy() == [np.copysign(np.inf, zero)]


SCALE = 2.0


def scaled(x):
    return x * SCALE


def test_numbers_from_outside_are_those_of_the_call(monkeypatch):
    x = tf.ones(1)
    assert apply(scaled, x) == 2

    monkeypatch.setitem(globals(), "SCALE", 3.0)

    assert apply(scaled, x) == 3
    assert module(scaled)(x) == 3
