"""Gradients of gradients and forward mode, against NumPy in float64."""

import math

import grpc
import numpy as np
import pytest

import actserve

pytestmark = pytest.mark.server

# Functions whose gradients are compared with differences of their values: what
# the derivatives are made of is the server's matter.
SMOOTH = {
    "one input": "def f(x):\n    return x * tanh(x) + sin(3 * x)\n",
    "two inputs": "def f(x, g):\n    return x * sigmoid(g) + exp(-x * x * g)\n",
    "parameters": (
        "def f(x, g, a=0.7, b=1.3):\n"
        "    return a * x * sin(b * g) + b * b * x * x\n"
    ),
    "rows": (
        "def f(x, a=1.5):\n"
        "    e = exp(a * (x - rowmax(x)))\n"
        "    return e / rowsum(e)\n"
    ),
    "rows of two inputs": (
        "def f(x, g, eps=0.25):\n"
        "    c = x * g - rowmean(x * g)\n"
        "    return c / sqrt(rowmean(c * c) + eps)\n"
    ),
}
STRAIGHT_THROUGH = """
def f(x, a=2.0):
    return sign(x)

def f_grad(x, dy, a):
    return dy * exp(-a * x * x), dy * x * a
"""


class Point:
    """An activation, where it is evaluated, and directions of each variable."""

    def __init__(self, client, text, shape=(3, 5)):
        self.client = client
        self.activation = actserve.activation(text)
        info = client.register_activation(self.activation)
        self.axis = -1 if info.reads_rows else None
        generator = np.random.default_rng(7)
        self.inputs = {n: generator.normal(size=shape) for n in info.inputs}
        self.parameters = dict(info.parameters)
        self.dy = generator.normal(size=shape)
        self.names = [*self.inputs, *self.parameters]
        self.directions = {
            name: generator.normal(size=np.shape(value))
            for name, value in self.at().items()
        }

    def at(self, name=None, step=0.0):
        """Returns all variables, with `step` added to one of them."""
        values = {**self.inputs, **self.parameters, "dL/dy": self.dy}
        if name is not None:
            values[name] = values[name] + step
        return values

    def options(self, values):
        return {
            "axis": self.axis,
            "parameters": {n: values[n] for n in self.parameters},
        }

    def value(self, values):
        inputs = [values[n] for n in self.inputs]
        return self.client.forward(
            self.activation, *inputs, **self.options(values)
        )

    def gradients(self, values, **more):
        inputs = [values[n] for n in self.inputs]
        more = {"wrt": self.names, **more}
        return self.client.backward(
            self.activation,
            *inputs,
            grad_output=values["dL/dy"],
            **self.options(values),
            **more,
        )

    def second(self, **more):
        directions = {n: self.directions[n] for n in self.names}
        return self.gradients(
            self.at(),
            **{
                "order": 2,
                "cotangents": directions,
                "wrt": [*self.names, "dL/dy"],
                **more,
            },
        )

    def jvp(self, **more):
        values = self.at()
        return self.client.jvp(
            self.activation,
            *self.inputs.values(),
            **self.options(values),
            **{"tangents": {n: self.directions[n] for n in self.names}, **more},
        )


@pytest.fixture(params=SMOOTH)
def point(request, client):
    return Point(client, SMOOTH[request.param])


def slope(function, direction, step=1e-5):
    """Returns the derivative of `function` at 0 along `direction`."""
    up, down = function(step * direction), function(-step * direction)
    return (up - down) / (2 * step)


def test_second_order_agrees_with_differences(point):
    def loss(name, step):
        got = point.gradients(point.at(name, step))
        return sum(np.sum(got[n] * point.directions[n]) for n in point.names)

    got = point.second()

    assert list(got) == [*point.names, "dL/dy"]
    for name, value in got.items():
        direction = point.directions[name]
        want = slope(lambda step, name=name: loss(name, step), direction)
        np.testing.assert_allclose(
            np.sum(value * direction), want, rtol=1e-7, atol=1e-7, err_msg=name
        )


def test_a_tangent_agrees_with_differences(point):
    y, tangent = point.jvp()

    want = sum(
        slope(
            lambda step, name=name: point.value(point.at(name, step)),
            point.directions[name],
        )
        for name in point.names
    )
    np.testing.assert_allclose(tangent, want, rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(y, point.value(point.at()))


def test_a_tangent_is_the_gradients_transpose(point):
    _, tangent = point.jvp()
    gradients = point.gradients(point.at())

    want = sum(np.sum(gradients[n] * point.directions[n]) for n in point.names)
    assert math.isclose(np.sum(tangent * point.dy), want, rel_tol=1e-12)


# v' H w = w' H v, over all inputs and parameters.
def test_the_hessian_is_symmetric(point):
    other = {n: np.cos(5 * np.asarray(d)) for n, d in point.directions.items()}

    def product(left, right):
        got = point.second(
            cotangents={n: right[n] for n in point.names}, wrt=point.names
        )
        return sum(np.sum(got[n] * left[n]) for n in point.names)

    assert math.isclose(
        product(point.directions, other),
        product(other, point.directions),
        rel_tol=1e-12,
    )


# The gradient is linear in dL/dy: its derivative is the tangent.
def test_the_gradient_by_dy_is_the_tangent(point):
    _, tangent = point.jvp()

    np.testing.assert_allclose(
        point.second()["dL/dy"], tangent, rtol=1e-12, atol=1e-12
    )


def test_each_choice_of_names_gives_the_same(point):
    whole = point.second()
    for name in whole:
        alone = point.second(wrt=[name])
        np.testing.assert_allclose(alone[name], whole[name], rtol=1e-12)
    names = list(reversed(point.names))
    swapped = point.second(
        cotangents={n: point.directions[n] for n in names}, wrt=list(whole)
    )
    for name in whole:
        np.testing.assert_array_equal(swapped[name], whole[name])
    y, tangent = point.jvp()
    other = point.jvp(tangents={n: point.directions[n] for n in names})
    np.testing.assert_array_equal(other, (y, tangent))


def test_order_1_is_the_gradient(point):
    first = point.gradients(point.at())
    same = point.gradients(point.at(), order=1)
    for name in first:
        np.testing.assert_array_equal(same[name], first[name])


def normal_density(x):
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def test_gelu(client):
    x, v, dy = np.random.default_rng(3).normal(size=(3, 100))
    cdf = np.array([0.5 * math.erfc(-e / math.sqrt(2)) for e in x])
    slope_ = cdf + x * normal_density(x)

    got = client.backward(
        "gelu",
        x,
        grad_output=dy,
        order=2,
        cotangents={"x": v},
        wrt=["x", "dL/dy"],
    )
    y, tangent = client.jvp("gelu", x, tangents={"x": v})

    np.testing.assert_allclose(
        got["x"], (2 - x * x) * normal_density(x) * dy * v, rtol=1e-10
    )
    np.testing.assert_allclose(got["dL/dy"], slope_ * v, rtol=1e-10)
    np.testing.assert_allclose(tangent, slope_ * v, rtol=1e-10)
    np.testing.assert_array_equal(y, client.forward("gelu", x))


def softmax_of(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4), (2, 300)])
def test_softmax(client, axis, shape):
    text = actserve.activation(
        "def softmax(x):\n"
        "    e = exp(x - rowmax(x))\n"
        "    return e / rowsum(e)\n"
    )
    x, v, dy = np.random.default_rng(4).normal(size=(3, *shape))
    y = softmax_of(x, axis)

    def mean(a):
        return (y * a).sum(axis, keepdims=True)

    # v' dx is the sum over all rows of mean(v dy) - mean(v) mean(dy).
    dot = y * (v * dy - mean(v * dy))
    want = dot - y * (v - mean(v)) * mean(dy) - y * (dy - mean(dy)) * mean(v)

    got = client.backward(
        text,
        x,
        grad_output=dy,
        axis=axis,
        order=2,
        cotangents={"x": v},
        wrt=["x", "dL/dy"],
    )
    value, tangent = client.jvp(text, x, tangents={"x": v}, axis=axis)

    np.testing.assert_allclose(got["x"], want, rtol=1e-9, atol=1e-13)
    by_dy = y * (v - mean(v))
    np.testing.assert_allclose(got["dL/dy"], by_dy, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(tangent, by_dy, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(value, y, rtol=1e-12)


def test_a_declared_gradient_is_differentiated_as_it_is_written(client):
    point = Point(client, STRAIGHT_THROUGH, (50,))
    x, a, dy = point.inputs["x"], point.parameters["a"], point.dy
    v, w = point.directions["x"], point.directions["a"]
    bell = np.exp(-a * x * x)

    got = point.second()
    y, tangent = point.jvp()

    np.testing.assert_allclose(
        got["x"], -2 * a * x * bell * dy * v + dy * a * w, rtol=1e-11
    )
    np.testing.assert_allclose(
        got["a"], np.sum(-x * x * bell * dy * v + dy * x * w), rtol=1e-11
    )
    np.testing.assert_allclose(got["dL/dy"], bell * v + x * a * w, rtol=1e-11)
    np.testing.assert_allclose(tangent, bell * v + x * a * w, rtol=1e-11)
    np.testing.assert_array_equal(y, np.sign(x))


def test_a_residual_stands_for_the_inputs(point):
    def second(residual):
        return point.client.backward(
            point.activation,
            grad_output=point.dy,
            residual=residual,
            order=2,
            cotangents={n: point.directions[n] for n in point.names},
            wrt=[*point.names, "dL/dy"],
        )

    _, _, residual = point.client.forward_with(
        point.activation,
        *point.inputs.values(),
        keep_residual=True,
        **point.options(point.at()),
    )
    want = point.second()
    got = second(residual)
    point.client.release_residuals(residual)
    lost = second(residual)

    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
        np.testing.assert_array_equal(lost[name], want[name])


# The largest error that a result of few operations has in each type.
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", 1e-14), ("float32", 1e-6), ("float16", 1e-3)],
)
def test_results_have_the_type_of_the_inputs(client, dtype, tolerance):
    x = np.array([-2, -0.5, 0.25, 3], dtype)

    got = client.backward(
        "tanh", x, order=2, cotangents={"x": [1, 1, 1, 1]}, wrt=["x", "dL/dy"]
    )
    y, tangent = client.jvp("tanh", x, tangents={"x": [1, 1, 1, 1]})

    t = np.tanh(x.astype("float64"))
    for result, want in [
        (got["x"], -2 * t * (1 - t * t)),
        (got["dL/dy"], 1 - t * t),
        (tangent, 1 - t * t),
        (y, t),
    ]:
        assert result.dtype == dtype
        np.testing.assert_allclose(result, want, rtol=tolerance)


@pytest.mark.parametrize("order", [0, 3, -1])
def test_another_order_is_refused(client, order):
    with pytest.raises(actserve.ActivationError) as raised:
        client.backward("tanh", [1.0], order=order)
    assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.message == f"order: {order}, must be 1 or 2"


def test_a_gradient_that_is_not_linear_has_no_tangent(client):
    clipped = actserve.activation(
        "def f(x):\n    return x\n\n"
        "def f_grad(x, dy):\n    return clamp(dy, -1, 1)\n"
    )
    with pytest.raises(actserve.ActivationError, match="not linear"):
        client.jvp(clipped, [1.0], tangents={"x": [1.0]})
    with pytest.raises(ValueError, match="empty"):
        client.jvp(clipped, [1.0], tangents={})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c, x: c.jvp("gelu", x, tangents={"y": x}),
            "tangents: 'y' is not one of x",
        ),
        (
            lambda c, x: c.backward("prelu", x, order=2, cotangents={"b": x}),
            "cotangents: 'b' is not one of x, a",
        ),
        (
            lambda c, x: c.jvp("prelu", x, tangents={"a": x}),
            "tangents['a'] is an array of shape [2], but the parameter is a "
            "number",
        ),
    ],
)
def test_values_for_other_names_are_refused(client, call, message):
    with pytest.raises(TypeError) as raised:
        call(client, np.ones(2, np.float32))
    assert str(raised.value) == message
