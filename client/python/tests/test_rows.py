"""Activations that read rows, against NumPy in float64 along every axis."""

import pickle
from dataclasses import dataclass
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
)

import actserve
from actserve.v1 import activation_pb2, service_pb2, tensor_pb2

pytestmark = pytest.mark.server

# Largest error relative to 1 + |value|: of the sums and the functions, and of
# the result's type.
TOLERANCES = {
    np.float64: 1e-13,
    np.float32: 3e-6,
    np.float16: 2e-3,
    ml_dtypes.bfloat16: 2e-2,
}
# Beyond 256 elements rows are long for the CPU, and go another way.
SHAPES = [
    (7,),
    (300,),
    (1,),
    (3, 5),
    (5, 1),
    (2, 700),
    (700, 2),
    (2, 3, 4),
    (2, 3, 2, 5),
]


def softmax(x, dy, axis, t=1.0):
    """Returns the value and the gradients, as all references here do."""
    e = np.exp((x - x.max(axis, keepdims=True)) / t)
    y = e / e.sum(axis, keepdims=True)
    mean_dy = (y * dy).sum(axis, keepdims=True)
    mean_x = (y * x).sum(axis, keepdims=True)
    return y, {
        "x": y * (dy - mean_dy) / t,
        "t": (dy * y * (mean_x - x)).sum() / t**2,
    }


def log_softmax(x, dy, axis):
    shifted = x - x.max(axis, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return y, {"x": dy - np.exp(y) * dy.sum(axis, keepdims=True)}


def standardize(x, dy, axis, eps=0.125):
    centered = x - x.mean(axis, keepdims=True)
    r = 1 / np.sqrt((centered**2).mean(axis, keepdims=True) + eps)
    y = centered * r
    inner = (dy * y).mean(axis, keepdims=True)
    return y, {
        "x": r * (dy - dy.mean(axis, keepdims=True) - y * inner),
        "eps": (-dy * centered * r**3 / 2).sum(),
    }


def from_least(x, dy, axis):
    """Equal least elements share the gradient: 16-bit inputs have some."""
    least = x == x.min(axis, keepdims=True)
    least = least / least.sum(axis, keepdims=True)
    y = (x - x.min(axis, keepdims=True)) / x.shape[axis]
    dx = dy - least * dy.sum(axis, keepdims=True)
    return y, {"x": dx / x.shape[axis]}


TEXTS = {
    softmax: """
def softmax(x, t=1.0):
    e = exp((x - rowmax(x)) / t)
    return e / rowsum(e)
""",
    log_softmax: """
def log_softmax(x):
    shifted = x - rowmax(x)
    return shifted - log(rowsum(exp(shifted)))
""",
    standardize: """
def standardize(x, eps=0.125):
    centered = x - rowmean(x)
    return centered / sqrt(rowmean(centered ** 2) + eps)
""",
    from_least: """
def from_least(x):
    return (x - rowmin(x)) / rowsize(x)
""",
}
SOFTMAX = actserve.activation(TEXTS[softmax])


def axes(shape):
    return range(-len(shape), len(shape))


def random_array(generator, shape, dtype):
    return generator.normal(size=shape).astype(dtype)


def assert_close(got, want, dtype, scale=1.0):
    got, want = np.asarray(got, np.float64), np.asarray(want)
    error = np.abs(got - want) / (scale + np.abs(want))
    assert error.size == 0 or error.max() <= TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reference", TEXTS, ids=lambda f: f.__name__)
def test_is_what_numpy_says_along_every_axis(client, reference, shape, dtype):
    generator = np.random.default_rng(7)
    x = random_array(generator, shape, dtype)
    dy = random_array(generator, shape, dtype)
    f = actserve.activation(TEXTS[reference])
    for axis in axes(shape):
        want, gradients = reference(
            x.astype(np.float64), dy.astype(np.float64), axis
        )

        y = client.forward(f, x, axis=axis)
        got = client.backward(
            f, x, grad_output=dy, wrt=list(gradients), axis=axis
        )

        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        assert_close(y, want, dtype)
        assert list(got) == list(gradients)
        assert (got["x"].dtype, got["x"].shape) == (x.dtype, x.shape)
        for name, gradient in gradients.items():
            # The gradient of a parameter is a sum over all elements.
            scale = 1 if name == "x" else x.size
            assert_close(got[name], gradient, dtype, scale)


def test_parameters_of_the_call(client):
    generator = np.random.default_rng(8)
    x, dy = generator.normal(size=(2, 4, 6))
    want, gradients = softmax(x, dy, 0, t=0.5)

    y, _, residual = client.forward_with(
        SOFTMAX, x, parameters={"t": 0.5}, axis=0, keep_residual=True
    )
    got = client.backward(
        SOFTMAX, residual=residual, grad_output=dy, wrt=["t", "x"]
    )

    assert_close(y, want, np.float64)
    assert_close(got["x"], gradients["x"], np.float64)
    assert_close(got["t"], gradients["t"], np.float64, x.size)


def test_several_inputs(client):
    f = actserve.activation("def f(x, w): return rowsum(x * w) / rowsum(w)")
    generator = np.random.default_rng(9)
    x, w, dy = generator.uniform(1, 2, size=(3, 4, 5))
    for axis in axes(x.shape):
        total = w.sum(axis, keepdims=True)
        mean = (x * w).sum(axis, keepdims=True) / total
        sum_dy = dy.sum(axis, keepdims=True)

        y = client.forward(f, x, w, axis=axis)
        got = client.backward(f, x, w, grad_output=dy, axis=axis)

        assert_close(y, np.broadcast_to(mean, x.shape), np.float64)
        assert_close(got["x"], sum_dy * w / total, np.float64)
        assert_close(got["w"], sum_dy * (x - mean) / total, np.float64)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("name", "reduce"),
    [
        ("rowsum", np.sum),
        ("rowmax", np.max),
        ("rowmin", np.min),
        ("rowmean", np.mean),
        ("rowsize", lambda x, axis, keepdims: x.shape[axis]),
    ],
)
def test_small_integers_are_reduced_exactly(client, name, reduce, dtype):
    f = actserve.activation(f"def f(x): return {name}(x)")
    x = np.random.default_rng(10).integers(-8, 8, (2, 4, 8)).astype(dtype)
    for axis in axes(x.shape):
        want = reduce(x.astype(np.float64), axis=axis, keepdims=True)

        y = client.forward(f, x, axis=axis)

        np.testing.assert_array_equal(
            y.astype(np.float64), np.broadcast_to(want, x.shape)
        )


def test_sums_are_in_float64(client):
    f = actserve.activation("def f(x): return rowsum(x)")
    x = np.array([1e8, 1, -1e8], np.float32)

    np.testing.assert_array_equal(client.forward(f, x, axis=0), [1, 1, 1])


def test_a_row_has_the_same_bits_wherever_it_lies(client):
    x = np.random.default_rng(11).normal(size=(9, 1000)).astype(np.float32)
    last = client.forward(SOFTMAX, x, axis=-1)

    first = client.forward(SOFTMAX, x.T, axis=0)
    alone = [client.forward(SOFTMAX, row, axis=0) for row in x]

    assert last.tobytes() == first.T.tobytes()
    assert last.tobytes() == np.stack(alone).tobytes()


def test_equal_largest_elements_share_the_gradient(client):
    f = actserve.activation("def f(x): return rowmax(x)")
    x = np.array([[3, 1, 3], [2, 0, 1]], np.float32)
    dy = np.array([[1, 2, 3], [4, 5, 6]], np.float32)

    dx = client.backward(f, x, grad_output=dy, axis=1)["x"]

    np.testing.assert_array_equal(dx, [[3, 0, 3], [15, 0, 0]])


def test_a_row_is_whole_whichever_branch_an_element_takes(client):
    f = actserve.activation(
        "def f(x):\n"
        "    if x > 0:\n"
        "        return rowsum(x)\n"
        "    return rowsum(log(x) if x > 0 else 0)\n"
    )
    x = np.array([1, -2, 1, 0], np.float32)
    dy = np.array([1, 10, 100, 1000], np.float32)

    y = client.forward(f, x, axis=0)
    dx = client.backward(f, x, grad_output=dy, axis=0)["x"]

    np.testing.assert_array_equal(y, [0, 0, 0, 0])
    np.testing.assert_array_equal(dx, [1111, 101, 1111, 101])


def test_a_declared_gradient_may_read_rows_alone(client):
    f = actserve.activation(
        "def f(x):\n    return 2 * x\n"
        "def f_grad(x, dy):\n    return dy - rowmean(dy)\n"
    )
    x = np.zeros((2, 2), np.float32)
    dy = np.array([[1, 3], [5, 9]], np.float32)

    dx = client.backward(f, x, grad_output=dy, axis=0)["x"]

    assert client.register_activation(f).reads_rows
    np.testing.assert_array_equal(dx, [[-2, -3], [2, 3]])


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
def test_tensors_without_elements(client, shape, dtype):
    x = np.zeros(shape, dtype)
    for axis in axes(shape):
        y = client.forward(SOFTMAX, x, axis=axis)
        got = client.backward(SOFTMAX, x, wrt=["x", "t"], axis=axis)

        assert (y.dtype, y.shape) == (x.dtype, shape)
        assert (got["x"].dtype, got["x"].shape) == (x.dtype, shape)
        assert got["t"] == 0


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_rows_of_one_element(client, dtype):
    x = np.array([[-2], [0], [5]], dtype)
    for reference, want in [(softmax, 1), (log_softmax, 0), (standardize, 0)]:
        f = actserve.activation(TEXTS[reference])

        y = client.forward(f, x, axis=1)
        dx = client.backward(f, x, grad_output=x, axis=1)["x"]

        np.testing.assert_array_equal(y, np.full_like(x, want))
        np.testing.assert_array_equal(dx, np.zeros_like(x))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", [4, 400])
def test_infinities_and_nan_stay_in_their_rows(client, size, dtype):
    x = np.zeros((5, size), dtype)
    x[1] = -np.inf
    x[2, 1] = np.nan
    x[3, 0] = -np.inf
    x[4, 0] = np.inf
    dy = np.tile(np.array([1, 2, 0, 1], dtype), (5, size // 4))
    with np.errstate(invalid="ignore"):
        want, gradients = softmax(
            x.astype(np.float64), dy.astype(np.float64), 1
        )
    is_nan = np.isnan(want)
    assert is_nan.all(axis=1).tolist() == [False, True, True, False, True]

    y = client.forward(SOFTMAX, x, axis=1).astype(np.float64)
    dx = client.backward(SOFTMAX, x, grad_output=dy, axis=1)["x"]

    np.testing.assert_array_equal(np.isnan(y), is_nan)
    np.testing.assert_array_equal(np.isnan(dx.astype(np.float64)), is_nan)
    good = [0, 3]
    assert_close(y[good], want[good], dtype)
    assert_close(dx[good], gradients["x"][good], dtype)


def test_a_residual_knows_its_axis(client):
    x, dy = np.random.default_rng(12).normal(size=(2, 3, 4))
    want = client.backward(SOFTMAX, x, grad_output=dy, axis=0)["x"]
    for axis in [None, 0, -2]:
        for is_lost in [False, True]:
            _, _, residual = client.forward_with(
                SOFTMAX, x, axis=-2, keep_residual=True
            )
            if is_lost:
                client.release_residuals(residual)

            got = client.backward(
                SOFTMAX, residual=residual, grad_output=dy, axis=axis
            )["x"]

            assert got.tobytes() == want.tobytes()


def test_the_axis_of_an_activation_is_the_default(client):
    f = actserve.activation(SOFTMAX, axis=-1)
    x = np.random.default_rng(13).normal(size=(3, 4))
    by_column, by_row = (client.forward(SOFTMAX, x, axis=a) for a in (0, 1))

    _, _, residual = client.forward_with(f, x, axis=0, keep_residual=True)

    assert client.forward(f, x).tobytes() == by_row.tobytes()
    assert client.forward(f, x, axis=0).tobytes() == by_column.tobytes()
    assert (
        client.backward(f, x, grad_output=x)["x"].tobytes()
        == client.backward(SOFTMAX, x, grad_output=x, axis=1)["x"].tobytes()
    )
    # A residual knows better.
    assert (
        client.backward(f, residual=residual, grad_output=x)["x"].tobytes()
        == client.backward(SOFTMAX, x, grad_output=x, axis=0)["x"].tobytes()
    )


def test_a_decorated_function_has_an_axis(client):
    @actserve.activation(axis=-1)
    def centered(x):
        return x - rowmean(x)  # noqa: F821

    x = np.array([[1, 2, 3], [4, 4, 4]], np.float32)

    np.testing.assert_array_equal(
        client.forward(centered, x), [[-1, 0, 1], [0, 0, 0]]
    )
    assert actserve.activation(centered).axis == -1
    assert actserve.activation(centered, axis=0).axis == 0
    assert actserve.activation(centered, axis=0) != centered
    assert pickle.loads(pickle.dumps(centered)) == centered


def test_the_server_says_what_reads_rows(client):
    info = client.register_activation(SOFTMAX)
    listed = {a.name: a.reads_rows for a in client.list_activations()}

    assert info.reads_rows
    assert info.gradient_check.num_points > 0
    assert info.gradient_check.max_error < 1e-6
    assert client.get_activation(info.id).reads_rows
    assert listed["softmax"]
    assert not listed["gelu"]


X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c: c.forward(SOFTMAX, X),
            "axis: not set, but softmax reads rows",
        ),
        (
            lambda c: c.backward(SOFTMAX, X),
            "axis: not set, but softmax reads rows",
        ),
        (
            lambda c: c.forward("gelu", X, axis=0),
            "axis: 0 given, but gelu reads no rows",
        ),
        (
            lambda c: c.backward("gelu", X, axis=0),
            "axis: 0 given, but gelu reads no rows",
        ),
        (
            lambda c: c.forward(SOFTMAX, X, axis=2),
            "axis: 2, but the inputs have the shape [2, 3]: want -2 to 1",
        ),
        (
            lambda c: c.backward(SOFTMAX, X, axis=-3),
            "axis: -3, but the inputs have the shape [2, 3]: want -2 to 1",
        ),
        (
            lambda c: c.forward(SOFTMAX, 1.0, axis=0),
            "axis: 0, but the inputs have the shape [], without an axis",
        ),
        (
            lambda c: c.forward_with(SOFTMAX, X, axis=0, partials=True),
            "partials: an element of the result of softmax depends on its "
            "whole row, so there are none",
        ),
    ],
)
def test_errors_are_those_of_the_server(client, call, message):
    with pytest.raises(actserve.ActivationError) as caught:
        call(client)

    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.message == message


@pytest.mark.parametrize("is_lost", [False, True])
def test_another_axis_than_that_of_the_residual(client, is_lost):
    """Also where the inputs would be sent again, along the wrong axis."""
    _, _, residual = client.forward_with(SOFTMAX, X, axis=0, keep_residual=True)
    _, _, no_rows = client.forward_with("gelu", X, keep_residual=True)
    if is_lost:
        client.release_residuals(residual, no_rows)
    for kept, axis, own in [
        (residual, 1, 0),
        (residual, -1, 0),
        (residual, 2, 0),
        (no_rows, 0, None),
    ]:
        with pytest.raises(actserve.ActivationError) as caught:
            client.backward(SOFTMAX, residual=kept, axis=axis)

        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (
            caught.value.message
            == f"axis: {axis} is not that of the residual, {own}"
        )


@pytest.mark.parametrize("axis", [1.0, "0", True])
def test_an_axis_is_an_integer(client, axis):
    with pytest.raises(TypeError):
        client.forward(SOFTMAX, X, axis=axis)


@dataclass
class OldContract:
    """Clients and messages of the contract before there were rows."""

    messages: dict[str, Any]

    def call(self, address, method, request):
        name = f"/actserve.v1.ActivationService/{method}"
        response = {"GetActivation": "Activation"}.get(
            method, f"{method}Response"
        )
        with grpc.insecure_channel(address) as channel:
            return channel.unary_unary(
                name,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=self.messages[response].FromString,
            )(request)


@pytest.fixture(scope="module")
def old():
    """The contract without the fields that came with rows or later."""
    first_new = {"ForwardRequest": 7, "BackwardRequest": 7, "Activation": 13}
    pool = descriptor_pool.DescriptorPool()
    messages = {}
    for module in (duration_pb2, tensor_pb2, activation_pb2, service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            if message.name in first_new:
                first = first_new.pop(message.name)
                kept = [
                    field
                    for field in message.field
                    if field.number < first or field.name == "payload"
                ]
                assert not any(field.HasField("oneof_index") for field in kept)
                del message.field[:], message.oneof_decl[:]
                message.field.extend(kept)
        pool.Add(file)
        messages |= message_factory.GetMessageClassesForFiles([file.name], pool)
    assert not first_new
    result = OldContract(
        {name.rpartition(".")[2]: kind for name, kind in messages.items()}
    )
    fields = result.messages["ForwardRequest"].DESCRIPTOR.fields_by_number
    assert 7 not in fields
    assert 15 in fields
    return result


def test_an_old_client_computes_without_rows(shared_server, old):
    x = np.array([-1, 2], np.float32)
    tensor = {"dtype": tensor_pb2.DTYPE_FLOAT32, "shape": [2]}

    forward = old.call(
        shared_server.address,
        "Forward",
        old.messages["ForwardRequest"](
            activation="prelu",
            inputs=[tensor],
            parameters=[{"name": "a", "scalar": 0.5}],
            partials=["x"],
            keep_residual=True,
            payload=[x.tobytes()],
        ),
    )
    backward = old.call(
        shared_server.address,
        "Backward",
        old.messages["BackwardRequest"](
            activation="prelu", residual=forward.residual.handle, wrt=["x", "a"]
        ),
    )

    y, dy_dx = (np.frombuffer(p, np.float32) for p in forward.payload)
    np.testing.assert_array_equal(y, [-0.5, 2])
    np.testing.assert_array_equal(dy_dx, [0.5, 1])
    assert backward.payload[0] == dy_dx.tobytes()
    assert backward.gradients[1].scalar == -1


def test_an_old_client_is_told_what_it_lacks(shared_server, old):
    registered = old.call(
        shared_server.address,
        "RegisterActivation",
        old.messages["RegisterActivationRequest"](text=TEXTS[softmax]),
    ).activation
    tensor = {"dtype": tensor_pb2.DTYPE_FLOAT32, "shape": [2]}

    with pytest.raises(grpc.RpcError) as caught:
        old.call(
            shared_server.address,
            "Forward",
            old.messages["ForwardRequest"](
                activation=registered.id, inputs=[tensor], payload=[bytes(8)]
            ),
        )

    assert registered.name == "softmax"
    assert caught.value.details() == "axis: not set, but softmax reads rows"


@pytest.mark.parametrize("name", ["ForwardRequest", "BackwardRequest"])
def test_messages_of_either_contract_parse_in_the_other(old, name):
    kind = getattr(service_pb2, name)
    fields = {
        "activation": "f",
        "inputs": [{"dtype": tensor_pb2.DTYPE_FLOAT32, "shape": [2]}],
        "parameters": [{"name": "a", "scalar": 0.5}],
        "payload": [bytes(8)],
    }
    new_message = kind(axis=-1, **fields)
    old_message = old.messages[name](**fields)

    read_by_old = old.messages[name].FromString(new_message.SerializeToString())
    read_by_new = kind.FromString(old_message.SerializeToString())

    for field in fields:
        assert str(getattr(read_by_old, field)) == str(
            getattr(old_message, field)
        )
    assert kind.FromString(read_by_old.SerializeToString()) == new_message
    assert read_by_new == kind(**fields)
    assert not read_by_new.HasField("axis")
