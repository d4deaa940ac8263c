"""Values and gradients of actserve.tensorflow, against TensorFlow's own."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from bridge_cases import (  # noqa: E402
    GATED,
    QUESTION_DX,
    QUESTION_X,
    QUESTION_Y,
    SOFTMAX,
    SPIKY,
    STEP,
    SWISH,
)

import actserve  # noqa: E402
import actserve.tensorflow  # noqa: E402

pytestmark = pytest.mark.server

apply = actserve.tensorflow.apply

DTYPES = ["float16", "bfloat16", "float32", "float64"]
TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-5, "float64": 1e-11}

# What TensorFlow has itself, in float64; its gelu takes float32 constants.
OWN = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "silu": tf.nn.silu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "tanh": tf.nn.tanh,
    "sigmoid": tf.nn.sigmoid,
    "gelu": lambda x: x * (1 + tf.math.erf(x * np.sqrt(0.5))) / 2,
}


@pytest.fixture(params=["local", "unix", "tcp"])
def address(request, shared_server):
    """An address of each distance."""
    return {
        "local": "local",
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }[request.param]


def points(dtype=tf.float32, shape=(3, 8), seed=1):
    values = np.random.default_rng(seed).normal(size=shape) * 2
    return tf.constant(values, dtype)


def softmax(x, temperature, axis):
    return tf.nn.softmax(x / temperature, axis)


def swish(x, beta):
    return x * tf.sigmoid(beta * x)


TWO = {SWISH: swish, SOFTMAX: lambda x, t: softmax(x, t, -1)}


def close(got, want, dtype="float64", scale=1):
    tolerance = TOLERANCES[dtype] * scale
    np.testing.assert_allclose(
        tf.cast(got, tf.float64), want, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OWN)
def test_functions_that_tensorflow_has(name, dtype, shared_server):
    x = points(tf.as_dtype(dtype))
    exact = tf.cast(x, tf.float64)
    dy = tf.cos(x)
    for client in ("local", shared_server.unix_address):
        with tf.GradientTape() as tape, tf.GradientTape() as own:
            tape.watch(x)
            own.watch(exact)
            y = apply(name, x, client=client)
            want = OWN[name](exact)
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        close(y, want, dtype)
        want = own.gradient(want, exact, tf.cast(dy, tf.float64))
        close(tape.gradient(y, x, dy), want, dtype)


@pytest.mark.parametrize("way", ["auto", "partials", "residual", "stateless"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_the_numbers_of_the_question(way, in_graph, address):
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply(SPIKY, x, client=address, gradient=way)
        return y, tape.gradient(y, x)

    y, dx = (tf.function(both) if in_graph else both)(tf.constant(QUESTION_X))

    np.testing.assert_array_equal(y, QUESTION_Y)
    np.testing.assert_array_equal(dx, QUESTION_DX)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("way", ["auto", "partials", "residual", "stateless"])
def test_second_order_is_that_of_tensorflow(way, in_graph, address):
    def second(function, x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = function(x)
            dx = inner.gradient(y, x, tf.sin(x))
            loss = tf.reduce_sum(dx * tf.cos(x))
        return dx, outer.gradient(loss, x)

    x = points(tf.float64)
    ours = lambda x: apply("silu", x, client=address, gradient=way)  # noqa: E731
    run = tf.function(second) if in_graph else second

    for got, want in zip(run(ours, x), second(tf.nn.silu, x), strict=True):
        close(got, want)


@pytest.mark.parametrize("in_graph", [False, True])
def test_tapes_outside_of_a_function(in_graph, address):
    function = lambda x: apply("silu", x, client=address)  # noqa: E731
    if in_graph:
        function = tf.function(function)
    x = points(tf.float64)
    found = []
    for f in (function, tf.nn.silu):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(x)
                y = f(x)
                z = tf.sin(f(y))
            dy = inner.gradient(y, x)
            dz = inner.gradient(z, x)
        found.append([y, z, dy, dz, outer.gradient(dy, x), outer.gradient(dz, x)])

    for got, want in zip(*found, strict=True):
        close(got, want)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("axis", [None, 1, -1])
def test_parameters_with_gradients(axis, in_graph, address):
    x = points(tf.float64, (2, 3, 3))
    beta = tf.Variable(tf.ones([] if axis is None else [3], tf.float64) * 1.5)
    if axis is not None:
        beta.assign([0.5, 1.5, 2.5])
    spread = beta if axis in (None, -1) else tf.reshape(beta, [3, 1])

    def both(function):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = function()
            gradients = inner.gradient(y, [x, beta], tf.cos(x))
            loss = sum(tf.reduce_sum(g**2) for g in gradients)
        return [y, *gradients, *outer.gradient(loss, [x, beta])]

    def ours():
        return apply(
            SWISH,
            x,
            parameters={"beta": beta},
            channel_axis=axis or 0,
            client=address,
        )

    run = tf.function(both) if in_graph else both
    want = both(lambda: swish(x, tf.reshape(tf.identity(beta), spread.shape)))
    for got, expected in zip(run(ours), want, strict=True):
        assert got.shape == expected.shape
        close(got, expected)


@pytest.mark.parametrize("in_graph", [False, True])
def test_rows(in_graph, address):
    x = points(tf.float64)
    temperature = tf.Variable(1.5, dtype=tf.float64)

    def both(function):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = function()
            gradients = inner.gradient(y, [x, temperature], tf.cos(x))
            loss = sum(tf.reduce_sum(g**2) for g in gradients)
        return [y, *gradients, *outer.gradient(loss, [x, temperature])]

    def ours():
        values = {"temperature": temperature}
        return apply(SOFTMAX, x, parameters=values, axis=0, client=address)

    run = tf.function(both) if in_graph else both
    want = both(lambda: softmax(x, temperature, 0))
    for got, expected in zip(run(ours), want, strict=True):
        close(got, expected)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4))]
)
def test_inputs_broadcast(shapes, in_graph, address):
    a, b = (points(tf.float64, shape, i) for i, shape in enumerate(shapes))

    def both(function, a, b):
        with tf.GradientTape() as outer:
            outer.watch([a, b])
            with tf.GradientTape() as inner:
                inner.watch([a, b])
                y = function(a, b)
            gradients = inner.gradient(y, [a, b], tf.cos(y))
            loss = sum(tf.reduce_sum(g**2) for g in gradients)
        return [y, *gradients, *outer.gradient(loss, [a, b])]

    def ours(a, b):
        return apply(GATED, a, b, client=address)

    run = both
    if in_graph:  # nothing is known of the sizes
        unknown = tf.TensorSpec([None, None], tf.float64)
        second = unknown if b.shape.rank == 2 else tf.TensorSpec([None], tf.float64)
        run = tf.function(
            lambda _, a, b: both(ours, a, b),
            input_signature=[tf.TensorSpec([]), unknown, second],
        )
        got = run(0.0, a, b)
    else:
        got = run(ours, a, b)
    want = both(lambda a, b: a * tf.sigmoid(b), a, b)
    for found, expected in zip(got, want, strict=True):
        assert found.shape == expected.shape
        close(found, expected)


def test_gates_in_one_tensor(address):
    x = points(tf.float64, (3, 8))
    results = []
    for function in (
        lambda x: apply(GATED, x, split_axis=-1, client=address),
        lambda x: x[:, :4] * tf.sigmoid(x[:, 4:]),
    ):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        results.append((y, tape.gradient(y, x)))
    for got, want in zip(*results, strict=True):
        close(got, want)


@pytest.mark.parametrize("way", ["partials", "residual", "stateless"])
def test_the_gradient_checker_of_tensorflow(way, address):
    def function(x):
        return apply("mish", x, client=address, gradient=way)

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    x = points(tf.float64, (5,))
    for f in (function, slope):
        analytic, numeric = tf.test.compute_gradient(f, [x], delta=1e-5)
        np.testing.assert_allclose(analytic[0], numeric[0], atol=1e-8)


def test_gradients_that_the_author_declared(address):
    x = points(tf.float64, (6,))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply(STEP, x, client=address)
        dx = tape.gradient(y, x)
    np.testing.assert_array_equal(y, np.where(x > 0, 1, 0))
    close(dx, 1 / (1 + np.abs(x)) ** 2)
    close(outer.gradient(dx, x), -2 * np.sign(x) / (1 + np.abs(x)) ** 3)


@pytest.mark.parametrize("gradient", ["stateless", "partials"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_third_derivatives_are_refused(in_graph, gradient, shared_server):
    # TensorFlow builds gradients of functions before it knows who asks.
    def function(x):
        return apply("silu", x, client=shared_server.address, gradient=gradient)

    if in_graph:
        function = tf.function(function)
    x = tf.constant([0.5, -1.5], tf.float64)
    with tf.GradientTape() as a:
        a.watch(x)
        with tf.GradientTape() as b:
            b.watch(x)
            with tf.GradientTape() as c:
                c.watch(x)
                y = function(x)
            first = c.gradient(y, x)
        second = b.gradient(first, x)

    s = tf.sigmoid(x)
    close(second, s * (1 - s) * (2 + x * (1 - 2 * s)))
    with pytest.raises(
        (NotImplementedError, tf.errors.UnimplementedError),
        match="third derivative",
    ):
        a.gradient(second, x)


def test_hessians_by_jacobian():
    x = points(tf.float64, (4,))
    found = []
    for function in (lambda x: apply("silu", x, client="local"), tf.nn.silu):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(function(x) ** 2)
            slope = inner.gradient(loss, x)
        found.append(outer.jacobian(slope, x))
    close(*found)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("function", [SWISH, SOFTMAX])
def test_forward_mode(function, in_graph, address):
    x, v = points(tf.float64, (2, 3)), points(tf.float64, (2, 3), 2)
    number = tf.constant(1.5, tf.float64)
    ours = TWO[function]

    def run(x, number):
        return apply(
            function,
            x,
            parameters={"beta" if function == SWISH else "temperature": number},
            axis=None if function == SWISH else -1,
            client=address,
        )

    found = []
    for f in (tf.function(run) if in_graph else run, ours):
        with tf.autodiff.ForwardAccumulator(
            [x, number], [v, tf.constant(0.5, tf.float64)]
        ) as acc:
            y = f(x, number)
        found.append(acc.jvp(y))
    close(*found)


@pytest.mark.parametrize("gradient", ["partials", "stateless"])
def test_forward_over_reverse(gradient, address):
    x, v = points(tf.float64, (4,)), points(tf.float64, (4,), 2)
    found = []
    for function in (
        lambda x: apply("silu", x, client=address, gradient=gradient),
        tf.nn.silu,
    ):
        with tf.autodiff.ForwardAccumulator(x, v) as acc:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            slope = tape.gradient(y, x)
        found.append(acc.jvp(slope))
    close(*found)


def test_forward_mode_that_tensorflow_would_get_wrong_is_refused():
    @tf.function
    def function(x):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as acc:
            y = apply("silu", x)
        return acc.jvp(y)

    with pytest.raises(NotImplementedError, match="pass all that moves"):
        function(tf.constant([1.0]))
