"""One array that holds all inputs of a gate, against its parts and NumPy."""

import grpc
import ml_dtypes
import numpy as np
import pytest

import actserve
from actserve import PerAxis

pytestmark = pytest.mark.server

GATE = actserve.activation(
    "def gate(a, b, slope=0.5): return a * sigmoid(slope * b)"
)
THREE = actserve.activation("def three(a, b, c): return a * tanh(b) + c * c")
ROWS = actserve.activation("def rows(a, b): return a * b / rowsum(b * b)")
ONE = actserve.activation("def one(x): return x * x * x + 1")


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(1)


CUTS = [
    (shape, axis)
    for shape in [(6,), (4, 6), (2, 700), (600, 2), (2, 4, 6), (3, 2, 8, 130)]
    for axis in range(-len(shape), len(shape))
    if shape[axis] % 2 == 0
]


@pytest.mark.parametrize(("shape", "axis"), CUTS)
@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
)
def test_gives_the_bits_of_separate_arrays(client, random, shape, axis, dtype):
    x = random.normal(size=shape).astype(dtype)
    a, b = np.split(x, 2, axis)
    dy = random.normal(size=a.shape).astype(dtype)
    y = client.forward(GATE, x, split_axis=axis)
    np.testing.assert_array_equal(y, client.forward(GATE, a, b))
    got = client.backward(
        GATE, x, grad_output=dy, wrt=["slope", "*"], split_axis=axis
    )
    want = client.backward(GATE, a, b, grad_output=dy, wrt=["a", "b", "slope"])
    assert list(got) == ["slope", "*"]
    assert got["slope"] == want["slope"]
    np.testing.assert_array_equal(
        got["*"], np.concatenate([want["a"], want["b"]], axis)
    )


def test_is_glu(client, random):
    x = random.normal(size=(5, 8, 3))
    a, b = np.split(x, 2, 1)
    dy = random.normal(size=a.shape)
    s = 1 / (1 + np.exp(-b))
    y = client.forward("glu", x, split_axis=1)
    np.testing.assert_allclose(y, a * s, rtol=1e-14)
    gradients = client.backward("glu", x, grad_output=dy, split_axis=1)
    assert list(gradients) == ["*"]
    want = np.concatenate([dy * s, dy * a * s * (1 - s)], 1)
    np.testing.assert_allclose(gradients["*"], want, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["geglu", "glu", "reglu", "swiglu"])
def test_serves_the_gates_of_the_catalog(client, random, name):
    x = random.normal(size=(3, 10)).astype(np.float32)
    y = client.forward(name, x, split_axis=-1)
    np.testing.assert_array_equal(y, client.forward(name, x[:, :5], x[:, 5:]))


def test_large_tensors_are_shared_among_threads(client, random):
    x = random.normal(size=(700, 2, 1031)).astype(np.float32)
    dy = random.normal(size=(700, 1, 1031)).astype(np.float32)
    a, b = x[:, :1], x[:, 1:]
    wrt = ["a", "b", "slope"]
    np.testing.assert_array_equal(
        client.forward(GATE, x, split_axis=1), client.forward(GATE, a, b)
    )
    got = client.backward(
        GATE, x, grad_output=dy, wrt=["*", "slope"], split_axis=1
    )
    want = client.backward(GATE, a, b, grad_output=dy, wrt=wrt)
    np.testing.assert_array_equal(got["*"][:, :1], want["a"])
    np.testing.assert_array_equal(got["*"][:, 1:], want["b"])
    assert got["slope"] == want["slope"]


def test_three_inputs_are_three_parts(client, random):
    x = random.normal(size=(9, 2))
    parts = np.split(x, 3)
    y = client.forward(THREE, x, split_axis=0)
    np.testing.assert_array_equal(y, client.forward(THREE, *parts))


def test_rows_run_in_the_parts(client, random):
    x = random.normal(size=(4, 6)).astype(np.float32)
    for axis in 0, 1:
        for split_axis in 0, 1:
            a, b = np.split(x, 2, split_axis)
            y = client.forward(ROWS, x, axis=axis, split_axis=split_axis)
            np.testing.assert_array_equal(
                y, client.forward(ROWS, a, b, axis=axis)
            )
            got = client.backward(ROWS, x, axis=axis, split_axis=split_axis)
            want = client.backward(ROWS, a, b, axis=axis)
            np.testing.assert_array_equal(
                got["*"], np.concatenate([want["a"], want["b"]], split_axis)
            )


def test_parameters_per_channel_are_those_of_a_part(client, random):
    x = random.normal(size=(4, 6))
    slope = random.normal(size=3)
    parameters = {"slope": PerAxis(slope, 1)}
    y = client.forward(GATE, x, parameters=parameters, split_axis=1)
    a, b = np.split(x, 2, 1)
    np.testing.assert_allclose(y, a / (1 + np.exp(-slope * b)), rtol=1e-14)
    got = client.backward(
        GATE, x, parameters=parameters, wrt=["slope", "*"], split_axis=1
    )
    want = client.backward(
        GATE, a, b, parameters=parameters, wrt=["slope", "a", "b"]
    )
    np.testing.assert_array_equal(got["slope"], want["slope"])
    np.testing.assert_array_equal(got["*"][:, :3], want["a"])
    np.testing.assert_array_equal(got["*"][:, 3:], want["b"])


def test_second_order_has_one_cotangent_for_all_inputs(client, random):
    x, v = random.normal(size=(2, 4, 6))
    (a, b), (v_a, v_b) = np.split(x, 2, 1), np.split(v, 2, 1)
    dy = random.normal(size=a.shape)
    got = client.backward(
        GATE,
        x,
        grad_output=dy,
        order=2,
        cotangents={"slope": 3.0, "*": v},
        wrt=["dL/dy", "*", "slope"],
        split_axis=-1,
    )
    want = client.backward(
        GATE,
        a,
        b,
        grad_output=dy,
        order=2,
        cotangents={"a": v_a, "b": v_b, "slope": 3.0},
        wrt=["dL/dy", "a", "b", "slope"],
    )
    np.testing.assert_array_equal(got["dL/dy"], want["dL/dy"])
    np.testing.assert_array_equal(got["*"][:, :3], want["a"])
    np.testing.assert_array_equal(got["*"][:, 3:], want["b"])
    assert got["slope"] == want["slope"]


def test_tangent_is_one_for_all_inputs(client, random):
    x, v = random.normal(size=(2, 6, 4))
    (a, b), (v_a, v_b) = np.split(x, 2), np.split(v, 2)
    got = client.jvp(GATE, x, tangents={"*": v, "slope": 2.0}, split_axis=0)
    want = client.jvp(GATE, a, b, tangents={"a": v_a, "b": v_b, "slope": 2.0})
    np.testing.assert_array_equal(got, want)


def test_partials_are_one_array(client, random):
    x = random.normal(size=(4, 6))
    _, partials, _ = client.forward_with(GATE, x, partials=True, split_axis=1)
    _, want, _ = client.forward_with(GATE, x[:, :3], x[:, 3:], partials=True)
    assert list(partials) == ["*"]
    np.testing.assert_array_equal(partials["*"][:, :3], want["a"])
    np.testing.assert_array_equal(partials["*"][:, 3:], want["b"])


def test_residual_remembers_the_axis(client, random):
    x = random.normal(size=(4, 6))
    want = client.backward(GATE, x, split_axis=1)["*"]
    for given in None, 1, -1:
        _, _, residual = client.forward_with(
            GATE, x, split_axis=1, keep_residual=True
        )
        got = client.backward(GATE, residual=residual, split_axis=given)
        np.testing.assert_array_equal(got["*"], want)
    with pytest.raises(actserve.ActivationError, match="split_axis: 0 is not"):
        client.backward(GATE, residual=residual, split_axis=0)


def test_lost_residual_is_sent_again(client, random):
    x = random.normal(size=(4, 6))
    _, _, residual = client.forward_with(
        GATE, x, split_axis=-1, keep_residual=True
    )
    residual._handle = b"0123456789abcdef"
    np.testing.assert_array_equal(
        client.backward(GATE, residual=residual)["*"],
        client.backward(GATE, x, split_axis=-1)["*"],
    )


def test_empty_tensors_have_parts(client):
    x = np.empty((0, 4), np.float32)
    assert client.forward(GATE, x, split_axis=1).shape == (0, 2)
    assert client.forward(GATE, x, split_axis=0).shape == (0, 4)
    assert client.backward(GATE, x, split_axis=1)["*"].shape == (0, 4)


@pytest.mark.parametrize(
    ("activation", "inputs", "options", "message"),
    [
        (
            GATE,
            [np.ones((2, 7))],
            {"split_axis": -1},
            "split_axis: -1, but inputs[0] has the shape [2, 7]: 7 along that "
            "axis is not divisible by 2, the number of inputs",
        ),
        (
            GATE,
            [np.ones((2, 6))],
            {"split_axis": 2},
            "split_axis: 2, but inputs[0] has the shape [2, 6]: want -2 to 1",
        ),
        (
            GATE,
            [np.float32(1)],
            {"split_axis": 0},
            "split_axis: 0, but inputs[0] has the shape [], without an axis",
        ),
        (
            GATE,
            [np.ones(2), np.ones(2)],
            {"split_axis": 0},
            "inputs: 2 tensors, but split_axis wants one that holds the inputs "
            "of gate: a, b",
        ),
        (
            ONE,
            [np.ones(2)],
            {"split_axis": 0},
            "split_axis: 0 given, but one takes one input, x",
        ),
        (
            GATE,
            [np.ones(4)],
            {"split_axis": 0, "wrt": ["a"]},
            "wrt: 'a' is not one of *, slope; with split_axis, * stands for "
            "all inputs",
        ),
        (
            GATE,
            [np.ones(4)],
            {"split_axis": 0, "wrt": ["*", "*"]},
            "wrt: '*' is given more than once",
        ),
        (
            GATE,
            [np.ones(4), np.ones(4)],
            {"wrt": ["*"]},
            "wrt: '*' is not one of a, b, slope",
        ),
        (
            GATE,
            [np.ones(4)],
            {"split_axis": 0, "grad_output": np.ones(4)},
            "grad_output: shape [4] differs from [2] of each part of the "
            "inputs",
        ),
        (
            GATE,
            [np.ones(4)],
            {"split_axis": 0, "order": 2, "cotangents": {"*": np.ones(2)}},
            "cotangents: '*': shape [2] differs from [4] of the inputs",
        ),
    ],
)
def test_says_what_is_wrong(client, activation, inputs, options, message):
    with pytest.raises(actserve.ActivationError) as error:
        client.backward(activation, *inputs, **options)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.message == message
