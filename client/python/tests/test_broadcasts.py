"""Parameters per channel and inputs that broadcast, against NumPy."""

import grpc
import ml_dtypes
import numpy as np
import pytest

import actserve
from actserve import PerAxis

pytestmark = pytest.mark.server

PRELU = actserve.activation(
    "def channel_prelu(x, weight=0.25): return x if x > 0 else weight * x"
)
GATED = actserve.activation("def gated(x, bias): return (x + bias) * bias")


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(1)


def spread(weight, axis, shape):
    """Returns `weight` with its dimensions on `axis` and the axes after it."""
    after = len(shape) - axis % len(shape) - weight.ndim
    return weight.reshape(weight.shape + (1,) * after)


def sum_like(terms, small):
    """Sums `terms` over the axes along which `small` repeats in NumPy."""
    missing = terms.ndim - small.ndim
    axes = tuple(
        d
        for d in range(terms.ndim)
        if d < missing or small.shape[d - missing] != terms.shape[d]
    )
    return terms.sum(axes, keepdims=True).reshape(small.shape)


SHAPES_AND_AXES = [
    (shape, axis, rank)
    for shape in [(5,), (3, 4), (300, 7), (2, 3, 4), (2, 3, 4, 5)]
    for axis in range(-len(shape), len(shape))
    for rank in range(1, len(shape) - axis % len(shape) + 1)
]


@pytest.mark.parametrize(("shape", "axis", "rank"), SHAPES_AND_AXES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prelu_along_every_axis(client, random, shape, axis, rank, dtype):
    x = random.normal(size=shape).astype(dtype)
    dy = random.normal(size=shape).astype(dtype)
    first = axis % len(shape)
    weight = random.normal(size=shape[first : first + rank]).astype(dtype)
    parameters = {"weight": PerAxis(weight, axis)}
    y = client.forward(PRELU, x, parameters=parameters)
    w = spread(weight, axis, shape)
    np.testing.assert_array_equal(y, np.where(x > 0, x, w * x))
    gradients = client.backward(
        PRELU,
        x,
        grad_output=dy,
        wrt=["weight", "x"],
        parameters=parameters,
    )
    np.testing.assert_array_equal(gradients["x"], np.where(x > 0, dy, w * dy))
    terms = np.where(x > 0, 0, x * dy).astype(dtype).astype(np.float64)
    wanted = sum_like(terms, np.empty(w.shape)).reshape(weight.shape)
    assert gradients["weight"].dtype == dtype
    np.testing.assert_allclose(
        gradients["weight"], wanted, rtol=2 * np.finfo(dtype).eps, atol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sixteen_bits_round_once(client, random, dtype):
    x = random.normal(size=(4, 6)).astype(dtype)
    weight = random.normal(size=6).astype(dtype)
    y = client.forward(PRELU, x, parameters={"weight": PerAxis(weight, -1)})
    wide = x.astype(np.float64)
    wanted = np.where(wide > 0, wide, weight.astype(np.float64) * wide)
    np.testing.assert_array_equal(y, wanted.astype(dtype))


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        ((3, 4), (4,)),
        ((3, 4), (3, 1)),
        ((3, 4), ()),
        ((2, 3, 4), (2, 1, 4)),
        ((2, 3, 4), (3, 1)),
        ((70, 9, 5, 3), (9, 1, 3)),
        ((0, 3), (3,)),
    ],
)
def test_inputs_broadcast_as_in_numpy(client, random, shape, small):
    x = random.normal(size=shape)
    bias = random.normal(size=small)
    dy = random.normal(size=shape)
    np.testing.assert_array_equal(
        client.forward(GATED, x, bias), (x + bias) * bias
    )
    gradients = client.backward(GATED, x, bias, grad_output=dy)
    np.testing.assert_array_equal(gradients["x"], dy * bias)
    assert gradients["bias"].shape == small
    np.testing.assert_allclose(
        gradients["bias"], sum_like(dy * (x + 2 * bias), bias), rtol=1e-12
    )


def test_layer_norm_and_rms_norm_with_weights(client, random):
    x = random.normal(size=(6, 50))
    weight = random.normal(size=50)
    bias = random.normal(size=50)
    dy = random.normal(size=x.shape)
    parameters = {"weight": PerAxis(weight, -1), "bias": PerAxis(bias, -1)}
    c = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5)
    n = c * scale
    y = client.forward("layer_norm", x, parameters=parameters, axis=-1)
    np.testing.assert_allclose(y, n * weight + bias, rtol=1e-12, atol=1e-12)
    gradients = client.backward(
        "layer_norm",
        x,
        grad_output=dy,
        wrt=["x", "weight", "bias"],
        parameters=parameters,
        axis=-1,
    )
    u = dy * weight
    dx = scale * (
        u - u.mean(-1, keepdims=True) - n * (u * n).mean(-1, keepdims=True)
    )
    np.testing.assert_allclose(gradients["x"], dx, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        gradients["weight"], (dy * n).sum(0), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(gradients["bias"], dy.sum(0), rtol=1e-12)
    del parameters["bias"]
    r = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(
        client.forward("rms_norm", x, parameters=parameters, axis=-1),
        r * weight,
        rtol=1e-12,
    )
    gradients = client.backward(
        "rms_norm",
        x,
        grad_output=dy,
        wrt=["weight"],
        parameters=parameters,
        axis=-1,
    )
    np.testing.assert_allclose(
        gradients["weight"], (dy * r).sum(0), rtol=1e-10, atol=1e-12
    )


def test_a_residual_keeps_the_tensors_of_parameters(client, random):
    x = random.normal(size=(3, 4)).astype(np.float32)
    parameters = {"weight": PerAxis([1.0, 2.0, 3.0], 0)}
    _, _, residual = client.forward_with(
        PRELU, x, parameters=parameters, keep_residual=True
    )
    assert residual.is_held
    wrt = ["x", "weight"]
    kept = client.backward(PRELU, residual=residual, wrt=wrt)
    sent = client.backward(PRELU, x, parameters=parameters, wrt=wrt)
    for name in wrt:
        np.testing.assert_array_equal(kept[name], sent[name])


def test_a_batch_in_parts_gives_the_same_bits(client, random):
    x = random.normal(size=(8, 3, 40)).astype(np.float32)
    parameters = {"weight": PerAxis(random.normal(size=3).astype("f4"), 1)}
    whole = client.forward(PRELU, x, parameters=parameters)
    parts = [
        client.forward(PRELU, p, parameters=parameters) for p in x[:, None]
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c: c.forward(
                PRELU, X, parameters={"weight": PerAxis([1.0, 2.0], 1)}
            ),
            "parameters: 'weight': shape [2] from axis 1 on, but the inputs "
            "have the shape [2, 3]: [3] there",
        ),
        (
            lambda c: c.forward(
                PRELU, X, parameters={"weight": PerAxis([1.0, 2.0], 2)}
            ),
            "parameters: 'weight': axis 2, but the inputs have the shape "
            "[2, 3]: want -2 to 1",
        ),
        (
            lambda c: c.forward(
                PRELU, X, parameters={"weight": PerAxis(np.ones(3), 1)}
            ),
            "parameters: 'weight': dtype float64 differs from float32 of the "
            "inputs",
        ),
        (
            lambda c: c.forward(
                PRELU, X, parameters={"weight": PerAxis(1.0, 0)}
            ),
            "parameters: 'weight': a tensor without dimensions; give a scalar",
        ),
        (
            lambda c: c.forward(GATED, X, np.ones(2, np.float32)),
            "inputs[1]: shape [2] differs from [2, 3] of inputs[0]",
        ),
        (
            lambda c: c.forward(GATED, X[:1], np.ones((2, 1), np.float32)),
            "inputs: together they broadcast to the shape [2, 3], but none of "
            "them has it",
        ),
        (
            lambda c: c.forward_with(GATED, X, X[0], partials=["bias"]),
            "partials: 'bias' broadcasts, so its gradient is a sum",
        ),
        (
            lambda c: c.jvp(GATED, X, X[0], tangents={"bias": X}),
            "tangents: 'bias': shape [2, 3] differs from [3] of 'bias'",
        ),
        (
            lambda c: c.backward(
                PRELU,
                X,
                parameters={"weight": PerAxis([1.0, 2.0, 3.0], 1)},
                order=2,
                cotangents={"weight": 1.0},
            ),
            "cotangents: 'weight': shape [] differs from [3] of 'weight'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(client, call, message):
    with pytest.raises(actserve.ActivationError) as raised:
        call(client)
    assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in str(raised.value)


def test_an_array_needs_its_axis(client):
    with pytest.raises(TypeError, match="write PerAxis"):
        client.forward(PRELU, X, parameters={"weight": np.ones(3)})


def test_without_inputs_the_server_says_what_is_missing(client):
    with pytest.raises(actserve.ActivationError, match="inputs: 0 tensors"):
        client.forward(PRELU, parameters={"weight": PerAxis([1.0], 0)})
